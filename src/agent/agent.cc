#include "agent/agent.h"

#include <malloc.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>

#include "agent/cumulative_publisher.h"
#include "agent/delivery.h"
#include "agent/http_client.h"
#include "base/log.h"
#include "base/os_error.h"
#include "base/sd_notify.h"
#include "metrics/metrics_binary.h"

namespace godwit::agent {
namespace {

using namespace std::chrono_literals;

constexpr int kExitRuntime = 1;
constexpr int kExitConfig = 3;

std::string hostName() {
  char buf[256] = {};
  return ::gethostname(buf, sizeof buf - 1) == 0 && buf[0] ? buf : "localhost";
}

log::Level levelOf(const std::string& text) {
  if (text == "debug") return log::Level::kDebug;
  if (text == "warn") return log::Level::kWarn;
  return text == "error" ? log::Level::kError : log::Level::kInfo;
}

void configureLog(const Section& s) {
  log::Options o;
  o.program = "godwit-agent";
  o.level = levelOf(s.text("log_level"));
  std::string format = s.text("log_format");
  o.format = format == "json"    ? log::Format::kJson
             : format == "text"  ? log::Format::kText
             : format == "color" ? log::Format::kColor
                                 : log::formatFor(2);
  log::configure(o);
}

spool::Limits limitsOf(const Section& s) {
  return {s.size("max_bytes"), s.size("max_lane_bytes"), s.number("min_free") / 100};
}

}  // namespace

Agent::Agent(Config config, std::string config_path)
    : config_(std::move(config)), config_path_(std::move(config_path)) {}

Agent::~Agent() = default;

int Agent::run() {
  // A dozen threads that allocate little: two arenas instead of one for each.
  ::mallopt(M_ARENA_MAX, 2);
  ::mallopt(M_TRIM_THRESHOLD, 256 * 1024);
  ::mallopt(M_MMAP_THRESHOLD, 256 * 1024);  // large transient buffers go back to the system
  configureLog(config_.section("agent"));
  for (const auto& note : config_.notes) log::info("config.note", {{"note", note}});
  sigset_t set;
  sigemptyset(&set);
  for (int s : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2}) sigaddset(&set, s);
  // Before any thread exists: all of them inherit the mask.
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  signals_.reset(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (auto r = start(); !r) {
    if (r.error().code == ErrorCode::kClosed) return 0;  // told to stop while standing by
    log::error("agent.cannot_start", {{"why", r.error().message}, {"detail", r.error().detail}});
    return r.error().code == ErrorCode::kInvalid ? kExitConfig : kExitRuntime;
  }
  loop_.run();
  return exit_code_;
}

Result<> Agent::start() {
  const Section& a = config_.section("agent");
  host_ = a.text("host").empty() ? hostName() : a.text("host");
  agent_id_ = a.text("id").empty() ? hostName() : a.text("id");
  inherited_ = InheritedSockets::fromEnvironment();
  const Section& s = config_.section("spool");
  spool_path_ = s.text("path").empty() ? spool::defaultSpoolDir() : s.text("path");
  if (spool_path_.empty()) return {ErrorCode::kInvalid, "no place for a spool: set spool.path"};
  LogOptions options;
  options.dir = spool_path_;
  options.sync = s.duration("sync");
  options.limits = limitsOf(s);
  bool told = false;
  auto stop = [&] {
    signalfd_siginfo info{};
    while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
      told = told || info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT;
    }
    return told;
  };
  // Bounded by a signal: a standby waits as long as the other agent lives.
  auto log = Log::open(options, Deadline::never(), stop);
  if (!log) {
    if (told) return {ErrorCode::kClosed, "stopped"};
    return std::move(log).error();
  }
  log_ = std::move(log).value();
  metrics::spool::WriterOptions writer;
  writer.dir = spool_path_;
  writer.segment_size = static_cast<std::size_t>(s.size("segment_size"));
  writer.limits = limitsOf(s);
  writer.policy = s.text("policy") == "drop_newest" ? metrics::spool::DropPolicy::kDropNewest
                                                    : metrics::spool::DropPolicy::kDropOldest;
  writer.helper_thread = true;
  inlet_ = std::make_unique<Inlet>(writer);

  const Section& st = config_.section("statsd");
  AggregatorOptions ag;
  ag.interval_ns = st.duration("flush_interval").count();
  ag.max_series = static_cast<std::size_t>(st.integer("max_series"));
  ag.max_series_per_name = static_cast<std::size_t>(st.integer("max_series_per_name"));
  ag.gauge_ttl_ns = st.duration("gauge_ttl").count();
  ag.prefix = st.text("prefix");
  ag.kinto_names = st.text("preset") == "kinto";
  ag.statsd.gauge_delta = st.flag("gauge_delta");
  ag.statsd.etsy_compat = st.flag("etsy_compat");
  aggregation_ = std::make_unique<Aggregation>(*log_, *inlet_, ag, a.flag("flush_partial_on_exit"));
  GODWIT_TRY(openPublishers());
  if (config_.section("redis").flag("enabled")) redis_ = makeRedis();
  GODWIT_TRY(openReceivers());
  for (const auto& address : inherited_.unused()) {
    log::warn("sockets.unused", {{"address", address}, {"why", "no setting names it"}});
  }
  for (const auto& name : log_->foreignConsumers()) {
    log::warn("cursor.unowned", {{"cursor", name},
                                 {"effect", "it keeps the log from being cleaned"},
                                 {"hint", "godwit-agent cursor rm " + name}});
  }
  GODWIT_TRY(loop_.add(signals_.get(), EPOLLIN, [this](std::uint32_t) { onSignal(); }));
  log_->start();
  aggregation_->start();
  for (auto& [name, p] : publishers_) p.publisher->start();
  if (redis_) redis_->start();
  if (config_.section("streams").flag("enabled")) {
    streams_ = makeStreams();
    streams_->start();
  }
  // A window ends when something later is in the log; without traffic that is a tick.
  loop_.every(std::min<std::chrono::nanoseconds>(1s, st.duration("flush_interval")), [this] {
    if (statsd_ && aggregation_->wantsTick() && state_ == State::kRunning) statsd_->tick();
  });
  auto self = a.duration("self_metrics");
  if (self > 0ns) self_timer_ = loop_.every(self, [this] { sendSelfMetrics(); });
  state_ = State::kRunning;
  log::info("agent.ready", {{"spool", spool_path_},
                            {"publishers", publishers_.size()},
                            {"ms", (std::chrono::steady_clock::now() - started_) / 1ms}});
  sdNotify("READY=1");
  return {};
}

Result<std::unique_ptr<Publisher>> Agent::makePublisher(const Section& s) {
  TargetContext context;
  if (config_.section("agent").flag("add_host")) context.host = host_;
  context.agent_id = agent_id_;
  if (s.text("type") == "prometheus" || s.text("type") == "otlp") {
    CumulativeOptions c = cumulativeOptions(s, context);
    c.state_path = spool_path_ + "/agent/" + s.name() + ".state";
    c.cursor_path = spool_path_ + "/cursors/" + s.name();
    c.dead_dir = spool_path_ + "/dead/" + s.name();
    c.dead_max_bytes = config_.section("spool").size("dead_max_bytes");
    return CumulativePublisher::open(*log_, std::move(c));
  }
  DeliveryOptions o;
  o.name = s.name();
  o.cursor_path = spool_path_ + "/cursors/" + s.name();
  o.dead_dir = spool_path_ + "/dead/" + s.name();
  o.dead_max_bytes = config_.section("spool").size("dead_max_bytes");
  o.batch_units = static_cast<std::size_t>(s.integer("batch"));
  o.batch_bytes = static_cast<std::size_t>(s.size("batch_bytes"));
  o.linger = s.duration("linger");
  o.retry_max = s.duration("retry_max");
  o.required = s.flag("required");
  auto target = makeTarget(s, context);
  if (!target) {
    return Error(ErrorCode::kInvalid, "[publisher:" + s.name() + "]: unknown type");
  }
  return Delivery::open(*log_, std::move(o), std::move(target));
}

Result<> Agent::openPublishers() {
  for (const auto& [name, section] : config_.publishers()) {
    if (!section.flag("enabled")) {
      // Its cursor goes on pinning the log, unless it is not required.
      log_->addConsumer(name, LaneRole::kPoints, section.flag("required"));
      continue;
    }
    auto p = makePublisher(section);
    if (!p) return std::move(p).error();
    publishers_[name] = {std::move(p).value(), section.fingerprint(), section.text("type")};
  }
  return {};
}

std::unique_ptr<RedisReceiver> Agent::makeRedis() {
  const Section& s = config_.section("redis");
  RedisReceiverOptions o;
  o.address = redisAddress(s);
  o.agent_id = agent_id_;
  o.queue_key = s.text("queue_key");
  o.inprogress_key = s.text("inprogress_key");
  o.batch = static_cast<std::size_t>(s.integer("batch"));
  o.nanny_frequency = s.duration("nanny_frequency");
  o.nanny_threshold = s.duration("nanny_threshold");
  o.nanny_limit = static_cast<std::size_t>(s.integer("nanny_limit"));
  return std::make_unique<RedisReceiver>(*log_, *inlet_, o);
}

std::unique_ptr<StreamsReceiver> Agent::makeStreams() {
  const Section& s = config_.section("streams");
  StreamsOptions o;
  o.address = redisAddress(s);
  o.agent_id = agent_id_;
  o.stream = s.text("stream");
  o.group = s.text("group");
  o.claim_after = s.duration("claim_after");
  o.max_deliveries = s.integer("max_deliveries");
  return std::make_unique<StreamsReceiver>(*inlet_, o);
}

Result<> Agent::openReceivers() {
  const Section& h = config_.section("http");
  ingest_ = std::make_unique<Ingest>(*inlet_, h.text("token"),
                                     static_cast<std::size_t>(h.size("max_body")));
  statsd_ = std::make_unique<StatsdServer>(loop_, *inlet_);
  GODWIT_TRY(statsd_->open(config_.section("statsd"), inherited_));
  http_ = std::make_unique<HttpServer>(loop_, [this](HttpRequest& r) { return handle(r); });
  GODWIT_TRY(http_->open(h, inherited_));
  resp_ = std::make_unique<RespServer>(loop_, *inlet_);
  return resp_->open(config_.section("resp"), inherited_);
}

// ---- signals ----

void Agent::onSignal() {
  signalfd_siginfo info{};
  while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
    switch (static_cast<int>(info.ssi_signo)) {
      case SIGTERM:
      case SIGINT:
        if (state_ == State::kRunning) {
          beginDrain(info.ssi_signo == SIGTERM ? "SIGTERM" : "SIGINT");
        } else if (state_ == State::kDraining) {
          log::info("agent.drain_cut_short", {{"why", "second signal"}});
          drain_deadline_ = Deadline::after(0s);
          drainStep();
        }
        break;
      case SIGHUP:
        if (state_ == State::kRunning) reload();
        break;
      case SIGUSR1:
        for (auto& [name, p] : publishers_) p.publisher->flush();
        log::info("agent.flush");
        break;
      case SIGUSR2:
        log::info("agent.stats", {{"stats", reportJson(reportInput())}});
        break;
      default:
        break;
    }
  }
}

void Agent::beginDrain(const char* why) {
  state_ = State::kDraining;
  drain_began_ = std::chrono::steady_clock::now();
  drain_deadline_ = Deadline::after(std::chrono::duration_cast<Deadline::Clock::duration>(
      config_.section("agent").duration("drain_deadline")));
  sdNotify("STOPPING=1");
  log::info("agent.draining", {{"why", why}});
  if (self_timer_) loop_.cancel(self_timer_);
  if (redis_) redis_->stop();
  if (streams_) streams_->stop();
  statsd_->close();
  resp_->stopAccepting();
  drainStep();
}

// Called every few milliseconds until everything that was in the log has been published, or the
// deadline passes. What is then left is in the spool: nothing has to be waited for to be safe.
void Agent::drainStep() {
  if (state_ != State::kDraining) return;
  if (!aggregation_stopped_) {
    // Bounded: it stops at the deadline, with its place saved.
    aggregation_->stop(drain_deadline_);
    aggregation_stopped_ = true;
    drain_mark_ = log_->mark(LaneRole::kPoints);
    for (auto& [name, p] : publishers_) p.publisher->flush();
  }
  bool done = true;
  for (auto& [name, p] : publishers_) done = done && p.publisher->reached(drain_mark_);
  if (done || drain_deadline_.expired()) return finish();
  loop_.after(10ms, [this] { drainStep(); });
}

void Agent::finish() {
  state_ = State::kStopped;
  http_->close();
  resp_->close();
  for (auto& [name, p] : publishers_) p.publisher->stop();
  inlet_->close();
  std::uint64_t spooled = 0;
  for (auto& [name, p] : publishers_) {
    PublisherStats s = p.publisher->stats();
    spooled = std::max(spooled, s.spooled_samples);
    log::info("publisher.stopped", {{"publisher", name},
                                    {"published", s.counts.published},
                                    {"dead", s.counts.dead},
                                    {"dropped", s.counts.droppedTotal()},
                                    {"spooled", s.spooled_samples}});
  }
  log_->stop();
  log::info(
      "agent.stopped",
      {{"spooled", spooled},
       {"seconds",
        std::chrono::duration<double>(std::chrono::steady_clock::now() - drain_began_).count()}});
  loop_.stop();
}

// ---- reload ----

void Agent::reload() {
  auto next = loadConfig(config_path_, environ);
  if (!next) {
    log::error("config.reload_failed",
               {{"why", next.error().message}, {"effect", "the old settings stay"}});
    return;
  }
  sdNotify("RELOADING=1");
  for (const auto& note : next->notes) log::info("config.note", {{"note", note}});
  if (next->section("spool").fingerprint() != config_.section("spool").fingerprint()) {
    log::warn("config.needs_restart", {{"section", "spool"}});
  }
  Config old = std::move(config_);
  config_ = std::move(next).value();
  configureLog(config_.section("agent"));
  reloadPublishers(old);
  reloadReceivers(old);
  log::info("config.reloaded", {{"publishers", publishers_.size()}});
  sdNotify("READY=1");
}

void Agent::reloadPublishers(const Config& old) {
  bool host_changed = old.section("agent").fingerprint() != config_.section("agent").fingerprint();
  for (auto it = publishers_.begin(); it != publishers_.end();) {
    auto wanted = config_.publishers().find(it->first);
    bool keep = wanted != config_.publishers().end() && wanted->second.flag("enabled") &&
                wanted->second.fingerprint() == it->second.fingerprint && !host_changed;
    if (keep) {
      ++it;
      continue;
    }
    it->second.publisher->stop();
    if (wanted == config_.publishers().end()) {
      log_->disownConsumer(it->first);
      log::warn("cursor.unowned",
                {{"cursor", it->first}, {"hint", "godwit-agent cursor rm " + it->first}});
    }
    it = publishers_.erase(it);
  }
  for (const auto& [name, section] : config_.publishers()) {
    if (publishers_.contains(name) || !section.flag("enabled")) continue;
    auto p = makePublisher(section);
    if (!p) {
      log::error("publisher.cannot_start", {{"publisher", name}, {"why", p.error().message}});
      continue;
    }
    p.value()->start();
    publishers_[name] = {std::move(p).value(), section.fingerprint(), section.text("type")};
  }
}

void Agent::reloadReceivers(const Config& old) {
  auto changed = [&](std::string_view kind) {
    return old.section(kind).fingerprint() != config_.section(kind).fingerprint();
  };
  auto failed = [](std::string_view kind, const Result<>& r) {
    if (!r) {
      log::error("receiver.cannot_open",
                 {{"receiver", kind}, {"why", r.error().message}, {"detail", r.error().detail}});
    }
  };
  if (changed("statsd")) {
    statsd_->close();
    statsd_ = std::make_unique<StatsdServer>(loop_, *inlet_);
    failed("statsd", statsd_->open(config_.section("statsd"), inherited_));
  }
  if (changed("http")) {
    http_->close();
    const Section& h = config_.section("http");
    ingest_ = std::make_unique<Ingest>(*inlet_, h.text("token"),
                                       static_cast<std::size_t>(h.size("max_body")));
    http_ = std::make_unique<HttpServer>(loop_, [this](HttpRequest& r) { return handle(r); });
    failed("http", http_->open(h, inherited_));
  }
  if (changed("resp")) {
    resp_->close();
    resp_ = std::make_unique<RespServer>(loop_, *inlet_);
    failed("resp", resp_->open(config_.section("resp"), inherited_));
  }
  if (changed("streams")) {
    if (streams_) streams_->stop();
    streams_.reset();
    if (config_.section("streams").flag("enabled")) {
      streams_ = makeStreams();
      streams_->start();
    }
  }
  if (changed("redis")) {
    if (redis_) redis_->stop();
    redis_.reset();
    if (config_.section("redis").flag("enabled")) {
      redis_ = makeRedis();
      redis_->start();
    }
  }
}

// ---- what the outside sees ----

HttpReply Agent::handle(HttpRequest& request) {
  const std::string& path = request.path;
  if (path == "/write" || path == "/api/v2/write") return ingest_->lines(request);
  if (path == "/godwit/v1/metrics") return ingest_->json(request);
  HttpReply r;
  if (request.method != "GET" && request.method != "HEAD") {
    r.status = 405;
    r.headers.emplace_back("Allow: GET, HEAD");
    r.body = "only GET\n";
    return r;
  }
  if (path == "/healthz") {
    r.body = "ok\n";
  } else if (path == "/readyz") {
    bool ready = state_ == State::kRunning;
    r.status = ready ? 200 : 503;
    r.body = ready ? "ready\n" : "draining\n";
  } else if (path == "/ping") {
    r.status = 204;
    r.headers.emplace_back("X-Influxdb-Version: 1.8.0-godwit-agent");
  } else if (path == "/stats") {
    r.type = "application/json";
    r.body = reportJson(reportInput());
  } else if (path == "/metrics") {
    exposeMetrics(request, r);
  } else {
    r.status = 404;
    r.body = "not here\n";
  }
  return r;
}

// What Prometheus publishers hold, then the agent's own numbers.
void Agent::exposeMetrics(const HttpRequest& request, HttpReply& r) {
  bool open =
      request.header("accept").find("application/openmetrics-text") != std::string_view::npos;
  r.type = open ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                : "text/plain; version=0.0.4; charset=utf-8";
  for (auto& [name, p] : publishers_) {
    if (p.type != "prometheus") continue;
    const Section& s = config_.publishers().at(name);
    p.publisher->expose(r.body, open, s.text("timers") == "histogram");
  }
  r.body += reportPrometheus(reportInput(), open);
  if (open) r.body += "# EOF\n";
  std::string packed;
  if (r.body.size() > 1024 &&
      request.header("accept-encoding").find("gzip") != std::string_view::npos &&
      gzipCompress(r.body, packed)) {
    r.body = std::move(packed);
    r.headers.emplace_back("Content-Encoding: gzip");
  }
}

ReportInput Agent::reportInput() {
  ReportInput in;
  in.state = state_ == State::kRunning ? "running" : "draining";
  in.agent_id = agent_id_;
  in.uptime_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
  in.spool = spool_path_;
  in.log = log_->totals();
  for (std::size_t i = 0; i < in.received.size(); ++i) {
    in.received[i] = inlet_->received(static_cast<Source>(i));
  }
  for (std::size_t i = 0; i < 3; ++i) {
    in.writers[i] = inlet_->stats(static_cast<Inlet::LaneName>(i));
  }
  if (statsd_) in.statsd = statsd_->stats();
  in.aggregation = aggregation_->stats();
  if (redis_) in.redis = redis_->stats();
  if (streams_) in.streams = streams_->stats();
  if (resp_ && (resp_->connections() > 0 || resp_->stats().commands > 0)) in.resp = resp_->stats();
  if (ingest_) in.http = ingest_->stats();
  if (http_) in.http_connections = http_->connections();
  for (auto& [name, p] : publishers_) {
    in.publishers.push_back(p.publisher->stats());
    in.publishers.back().type = p.type;
  }
  in.foreign_cursors = log_->foreignConsumers();
  return in;
}

// Differences since the last time, one Metrics per label so that the label is a dimension.
void Agent::sendSelfMetrics() {
  std::map<std::string, double> now = reportCounters(reportInput());
  for (const auto& [key, value] : now) {
    double difference = value - self_last_[key];
    if (difference == 0) continue;
    std::size_t bar = key.find('|');
    std::size_t eq = key.find('=', bar);
    metrics::Metrics m;
    m.dims.emplace_back("agent", agent_id_);
    m.dims.emplace_back(key.substr(bar + 1, eq - bar - 1), key.substr(eq + 1));
    metrics::Sample s;
    s.name = key.substr(0, bar);
    s.value = difference;
    s.ts = inlet_->clock().uniqueUs() * 1000;
    m.counters.push_back(std::move(s));
    inlet_->append(Inlet::LaneName::kPoints, FrameType::kMetrics, 1, metrics::encodeMetrics(m, 0),
                   Source::kSelf);
  }
  self_last_ = std::move(now);
}

}  // namespace godwit::agent
