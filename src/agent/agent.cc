#include "agent/agent.h"

#include <malloc.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>

#include "base/log.h"
#include "base/os_error.h"
#include "base/sd_notify.h"

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

}  // namespace godwit::agent
