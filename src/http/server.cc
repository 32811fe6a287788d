#include "godwit/http/server.h"

#include <csignal>
#include <cstdio>
#include <mutex>
#include <thread>

#include "base/log.h"
#include "base/os_error.h"
#include "base/sd_notify.h"
#include "http/shard.h"
#include "net/listener.h"
#include "net/loop.h"

namespace godwit::http {

void Engine::protocolError(int status, const char* why, Response& r) const {
  r.clear();
  std::string text(reasonPhrase(status));
  text.append(": ").append(why).append("\n");
  r.text(status, text);
  if (status == 503) r.header("Retry-After", "1");
  if (on_protocol_error) on_protocol_error(status, r);
  r.status = status;
}

std::string describe(const DrainReport& report) {
  char text[160];
  std::snprintf(text, sizeof text, "drained %llu requests in %.1f s, %llu aborted",
                static_cast<unsigned long long>(report.finished),
                static_cast<double>(report.took.count()) / 1000.0,
                static_cast<unsigned long long>(report.aborted));
  return text;
}

struct Server::Impl {
  using Clock = std::chrono::steady_clock;

  // Set before start.
  Engine engine;
  std::vector<net::InheritedFd> inherited;
  std::size_t inherited_used = 0;
  std::vector<net::Listener> listeners;
  std::vector<std::unique_ptr<net::Loop>> loops;
  std::vector<std::unique_ptr<Shard>> shards;
  std::vector<Shard*> peers;
  Job on_ready, on_drain, on_hangup;
  std::function<void()> on_hangup_each;
  std::function<void(Deadline)> on_stopped;
  std::vector<std::function<void(Deadline)>> parts;
  std::vector<std::thread> threads;
  bool started = false;
  bool finished = false;
  DrainReport report;

  // Guarded by mu.
  std::mutex mu;
  bool drain_asked = false;
  bool stop_asked = false;
  bool running = false;
  bool all_empty = false;
  Deadline deadline = Deadline::never();
  Clock::time_point drain_began{};
  std::size_t empty_shards = 0;

  void start();
  void finish();
  void drain(Deadline d);
  void stop();
  void onSignal(int number);
  void shardEmpty();
  void resumeAll();
};

Server::Server(Options options) : impl_(std::make_unique<Impl>()) {
  Impl& s = *impl_;
  if (options.threads == 0) {
    options.threads = std::max(1U, std::thread::hardware_concurrency());
  }
  s.engine.options = std::move(options);
  const Options& o = s.engine.options;
  s.engine.head_limits = {o.limits.max_header_bytes, o.limits.max_headers, o.any_authority};
  s.engine.handler = [](const Request&, Reply reply) { reply.send(404, "not found\n"); };
  s.engine.on_shard_empty = [&s] { s.shardEmpty(); };
  s.engine.on_shard_busy = [&s] {
    std::lock_guard lock(s.mu);
    --s.empty_shards;
  };
  s.engine.on_room = [&s] { s.resumeAll(); };
  if (o.inherit_listeners) s.inherited = net::takeInheritedFds();
  for (std::size_t i = 0; i < o.threads; ++i) {
    s.loops.push_back(std::make_unique<net::Loop>(i));
    s.shards.push_back(std::make_unique<Shard>(s.engine, *s.loops.back(), s.peers));
  }
  for (auto& shard : s.shards) s.peers.push_back(shard.get());
}

Server::~Server() {
  if (impl_->started && !impl_->finished) {
    impl_->stop();
    impl_->finish();
  }
  // Jobs left in a loop may hold Replies, which need the shards; loops go last.
  for (auto& loop : impl_->loops) loop->runLeftovers();
  for (std::size_t i = impl_->inherited_used; i < impl_->inherited.size(); ++i) {
    UniqueFd unused(impl_->inherited[i].fd);
  }
}

Result<void> Server::listen(std::string_view url) {
  Impl& s = *impl_;
  Result<net::Endpoint> where = net::Endpoint::parse(url);
  if (!where.ok()) return std::move(where).error();
  if (where->tls && !s.engine.tls) {
    return Error(ErrorCode::kInvalid, "cannot listen on '" + std::string(url) +
                                          "': no certificate (hint: Server::useTls first)");
  }
  net::Listener::Options o;
  o.reuse_port = s.engine.options.reuse_port;
  o.unix_mode = s.engine.options.unix_mode;
  Result<net::Listener> made =
      s.inherited_used < s.inherited.size()
          ? net::Listener::adopt(UniqueFd(s.inherited[s.inherited_used++].fd), where->tls)
          : net::Listener::bind(*where, o);
  if (!made.ok()) return std::move(made).error();
  s.listeners.push_back(std::move(made).value());
  return {};
}

Result<void> Server::useTls(const Tls& files) {
  Result<std::shared_ptr<net::TlsContext>> t =
      net::TlsContext::load({files.certificate, files.key, files.ciphers});
  if (!t.ok()) return std::move(t).error();
  impl_->engine.tls = std::move(t).value();
  return {};
}

Result<void> Server::reloadCertificates() {
  if (!impl_->engine.tls) return Error(ErrorCode::kInvalid, "cannot reload: TLS is not in use");
  return impl_->engine.tls->reload();
}

std::vector<std::string> Server::endpoints() const {
  std::vector<std::string> urls;
  for (const net::Listener& l : impl_->listeners) urls.push_back(l.url());
  return urls;
}

void Server::onRequest(Handler handler) { impl_->engine.handler = std::move(handler); }
void Server::onAccess(std::function<void(const AccessRecord&)> hook) {
  impl_->engine.on_access = std::move(hook);
}
void Server::onProtocolError(std::function<void(int, Response&)> hook) {
  impl_->engine.on_protocol_error = std::move(hook);
}
void Server::stopWith(std::function<void(Deadline)> part) {
  impl_->parts.push_back(std::move(part));
}
void Server::useMetrics(RequestMetrics& metrics, bool all) {
  impl_->engine.metrics = &metrics;
  impl_->engine.measure_all = all;
}
void Server::onHead(std::function<BodyPolicy(const Request&)> decide) {
  impl_->engine.on_head = std::move(decide);
}
void Server::onConnect(std::function<void(std::uint64_t, std::string_view)> hook) {
  impl_->engine.on_connect = std::move(hook);
}
void Server::onDisconnect(std::function<void(std::uint64_t)> hook) {
  impl_->engine.on_disconnect = std::move(hook);
}
void Server::onReady(Job job) { impl_->on_ready = std::move(job); }
void Server::onDrain(Job job) { impl_->on_drain = std::move(job); }
void Server::onStopped(std::function<void(Deadline)> job) { impl_->on_stopped = std::move(job); }
void Server::onHangup(std::function<void()> job) { impl_->on_hangup_each = std::move(job); }

// ---- life ----

void Server::Impl::start() {
  started = true;
  std::signal(SIGPIPE, SIG_IGN);  // sends say MSG_NOSIGNAL; sendfile and OpenSSL cannot
  for (std::size_t i = 1; i < loops.size(); ++i) {
    threads.emplace_back([this, i] { loops[i]->run(); });
  }
  std::atomic<std::size_t> accepting{0};
  for (std::size_t i = 1; i < shards.size(); ++i) {
    loops[i]->post([this, i, &accepting] {
      shards[i]->start(listeners);
      accepting.fetch_add(1, std::memory_order_release);
      accepting.notify_one();
    });
  }
  shards[0]->start(listeners);
  for (std::size_t n = 0; (n = accepting.load(std::memory_order_acquire)) + 1 < shards.size();) {
    accepting.wait(n, std::memory_order_acquire);
  }
  if (engine.options.handle_signals) {
    std::vector<int> signals{SIGTERM, SIGINT};
    if (on_hangup_each || engine.tls) signals.push_back(SIGHUP);
    loops[0]->onSignals(signals, [this](int n) { onSignal(n); });
  }
  sdNotify("READY=1");
  if (on_ready) std::exchange(on_ready, {})();
  bool drain_now = false;
  bool stop_now = false;
  {
    std::lock_guard lock(mu);
    running = true;
    drain_now = std::exchange(drain_asked, false);
    stop_now = std::exchange(stop_asked, false);
  }
  if (drain_now) drain(deadline);
  if (stop_now) stop();
}

void Server::Impl::onSignal(int number) {
  if (number == SIGHUP) {
    if (engine.tls) {
      Result<void> r = engine.tls->reload();
      if (r.ok()) {
        log::info("certificates reloaded");
      } else {
        log::error("certificates not reloaded", {{"why", r.error().message}});
      }
    }
    if (on_hangup_each) on_hangup_each();
    return;
  }
  bool again = false;
  {
    std::lock_guard lock(mu);
    again = drain_asked;
  }
  if (again) {
    stop();
  } else {
    drain(Deadline::after(engine.options.drain_deadline));
  }
}

void Server::Impl::drain(Deadline d) {
  bool first = false;
  {
    std::lock_guard lock(mu);
    deadline = drain_asked ? deadline.earlier(d) : d;
    d = deadline;
    first = !drain_asked;
    drain_asked = true;
    if (!running) return;
    if (first) drain_began = Clock::now();
  }
  if (first) {
    engine.draining.store(true);
    sdNotify("STOPPING=1\nSTATUS=draining");
    if (on_drain) std::exchange(on_drain, {})();
  }
  for (std::size_t i = 0; i < shards.size(); ++i) {
    loops[i]->post([this, i, d] { shards[i]->drain(d); });
  }
}

void Server::Impl::stop() {
  {
    std::lock_guard lock(mu);
    stop_asked = true;
    if (!running) return;
    if (!drain_asked) drain_began = Clock::now();
    drain_asked = true;
    deadline = Deadline::after(std::chrono::seconds(0));
  }
  engine.draining.store(true);
  for (std::size_t i = 0; i < shards.size(); ++i) {
    loops[i]->post([this, i] { shards[i]->abort(); });
  }
}

void Server::Impl::shardEmpty() {
  std::size_t n = 0;
  {
    std::lock_guard lock(mu);
    n = ++empty_shards;
  }
  // The last one ends the serving; loops other than the first keep running for onStopped.
  if (n == shards.size()) loops[0]->post([this] { loops[0]->stop(); });
}

void Server::Impl::resumeAll() {
  for (std::size_t i = 0; i < shards.size(); ++i) {
    loops[i]->post([this, i] { shards[i]->resumeAccepting(); });
  }
}

void Server::Impl::finish() {
  if (finished) return;
  finished = true;
  listeners.clear();
  for (const auto& shard : shards) {
    const ShardCounters& c = shard->counters();
    report.finished += c.finished.get();
    report.refused += c.late.get();
    report.aborted += c.aborted.get();
    report.connections_closed += c.drain_closed.get();
  }
  {
    std::lock_guard lock(mu);
    report.took = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - drain_began);
  }
  for (auto& part : parts) part(deadline);
  if (on_stopped) on_stopped(deadline);
  for (std::size_t i = 1; i < loops.size(); ++i) loops[i]->stop();
  for (std::thread& t : threads) t.join();
  threads.clear();
  for (auto& loop : loops) loop->runLeftovers();
}

Result<DrainReport> Server::run() {
  Impl& s = *impl_;
  if (s.started) return Error(ErrorCode::kInvalid, "cannot run the server: it has run already");
  try {
    s.start();
  } catch (const std::exception& e) {
    return Error(ErrorCode::kOs, std::string("cannot start the server: ") + e.what());
  }
  s.loops[0]->run();
  s.finish();
  return s.report;
}

bool Server::poll(std::chrono::milliseconds wait) {
  Impl& s = *impl_;
  if (s.finished) return false;
  if (!s.started) s.start();
  s.shards[0]->turnEnd();
  s.loops[0]->poll(wait);
  if (!s.loops[0]->stopped()) return true;
  s.finish();
  return false;
}

void Server::drain(Deadline deadline) { impl_->drain(deadline); }
void Server::stop() { impl_->stop(); }

void Server::post(std::uint64_t connection, Job job) {
  const std::size_t loop = connection >> 48;
  if (loop >= impl_->loops.size()) return;
  Shard* shard = impl_->shards[loop].get();
  impl_->loops[loop]->post([shard, connection, job = std::move(job)]() mutable {
    if (shard->has(connection)) job();
  });
}

Stats Server::stats() const {
  Stats t;
  for (const auto& shard : impl_->shards) {
    const ShardCounters& c = shard->counters();
    t.connections_open += c.open.get();
    t.connections_total += c.accepted.get();
    t.connections_refused += c.refused.get();
    t.requests_total += c.requests.get();
    t.responses_total += c.responses.get();
    t.bad_requests_total += c.bad.get();
    t.timeouts_total += c.timeouts.get();
    t.bytes_in += c.bytes_in.get();
    t.bytes_out += c.bytes_out.get();
    t.requests_pending += c.pending.get();
  }
  return t;
}

bool Server::draining() const { return impl_->engine.draining.load(); }
std::size_t Server::loops() const { return impl_->loops.size(); }
Reactor& Server::reactor(std::size_t index) { return *impl_->loops.at(index); }

}  // namespace godwit::http
