#include "supervise/instance.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdlib>

#include "base/log.h"
#include "base/os_error.h"
#include "supervise/exit_code.h"
#include "supervise/own_memory.h"
#include "supervise/places.h"

namespace godwit::supervise {
namespace {

constexpr TimeNs kManagerRetry = 20 * kMs;

std::string ownExecutable() {
  char buffer[PATH_MAX];
  ssize_t n = ::readlink("/proc/self/exe", buffer, sizeof buffer);
  return n > 0 ? std::string(buffer, static_cast<std::size_t>(n)) : "/proc/self/exe";
}

}  // namespace

Instance::Instance(Settings settings, std::vector<std::string> args)
    : settings_(std::move(settings)),
      args_(std::move(args)),
      executable_(ownExecutable()),
      cwd_(logicalCwd()),
      manager_(settings_.instance.notify_fd, settings_.instance.fdstore),
      manager_retry_(loop_, [] {}),
      kill_timer_(loop_, [this] { killAll(); }) {}

Instance::~Instance() {
  services_.clear();
  control_.reset();
  control_lock_.release();
  pidfile_.release();
  removePrivateDir(runtime_dir_);
  if (signal_fd_) loop_.remove(signal_fd_.get());
}

void Instance::configureLog() const {
  log::Options o;
  o.program = "godwit-run";
  o.format = settings_.instance.log_json ? log::Format::kJson : log::Format::kText;
  o.level = settings_.instance.verbose > 0 ? log::Level::kDebug : log::Level::kInfo;
  log::configure(o);
}

int Instance::exitCodeFor(const Error& e) const {
  if (e.code == ErrorCode::kConflict) return kExitAlreadyRunning;
  if (e.code == ErrorCode::kInvalid) return kExitUsage;
  return kExitCannotBind;
}

Service* Instance::find(std::string_view name) {
  for (auto& s : services_) {
    if (s->name() == name) return s.get();
  }
  return nullptr;
}

int Instance::run() {
  configureLog();
  for (const std::string& w : settings_.warnings) log::warn(w);
  const char* state = std::getenv("GODWIT_RUN_STATE");  // NOLINT(concurrency-mt-unsafe)
  auto opened = [&]() -> Result<> {
    GODWIT_TRY(loop_.open());
    return openSignals();
  }();
  if (!opened.ok()) {
    log::error(opened.error().message);
    return kExitOs;
  }
  Result<> r;
  if (state) {
    auto fd = parseInt(state, 3, 1 << 20);
    ::unsetenv("GODWIT_RUN_STATE");  // NOLINT(concurrency-mt-unsafe)
    r = fd ? resume(static_cast<int>(*fd)) : Error(ErrorCode::kInvalid, "bad GODWIT_RUN_STATE");
  } else {
    makeAbsolute(settings_, cwd_);
    makeConfigAbsolute(args_, cwd_);
    r = start();
  }
  if (!r.ok()) {
    log::error(r.error().message);
    return exitCodeFor(r.error());
  }
  loopUntilEnded();
  return exit_code_;
}

Result<> Instance::start() {
  out_ = std::make_unique<Sink>(loop_, 1);
  err_ = std::make_unique<Sink>(loop_, 2);
  if (!settings_.instance.pidfile.empty()) {
    GODWIT_TRY(pidfile_.acquire(settings_.instance.pidfile, true));
  }
  GODWIT_TRY(openControl());
  auto base = runtimeBase();
  if (!base.ok()) return std::move(base).error();
  bool others = std::any_of(settings_.services.begin(), settings_.services.end(),
                            [](const ServiceOptions& s) { return !s.user.empty(); });
  // Under the control socket's lock the name is ours; without one, the pid makes it so.
  std::string suffix = control_ ? ".d" : "." + std::to_string(::getpid()) + ".d";
  auto dir = makePrivateDir(*base + "/godwit-run-" + settings_.instance.name + suffix, others);
  if (!dir.ok()) return std::move(dir).error();
  runtime_dir_ = *dir;
  shared_ = std::make_unique<Shared>(Shared{loop_, children_, *out_, *err_, inheritedEnvironment(),
                                            cwd_, runtime_dir_, inheritedFds()});
  manager_.adoptNote(shared_->inherited_fds.note);
  GODWIT_TRY(openServices());
  for (const auto& e : shared_->inherited_fds.entries) {
    log::warn("an inherited socket is not used", {{"fd", e.fd}, {"name", e.name}});
  }
  storeSockets();
  manager_.extend(settings_.services.front().policy.ready_timeout + 5 * kSecond);
  // Its own directory may be a release that somebody wants to remove.
  if (::chdir("/") != 0) return osError("change to /");
  log::info("godwit-run", {{"pid", static_cast<int>(::getpid())},
                           {"name", settings_.instance.name},
                           {"control", control_ ? control_->path() : "none"}});
  return {};
}

Result<> Instance::openServices() {
  bool listens = false;
  for (const ServiceOptions& o : settings_.services) {
    listens = listens || !o.listens.empty();
    services_.push_back(std::make_unique<Service>(*shared_, news(), o));
    GODWIT_TRY(services_.back()->open());
  }
  if (listens) return {};
  UniqueFd fd(::open("/proc/sys/net/ipv4/tcp_migrate_req", O_RDONLY | O_CLOEXEC));
  char value = '1';
  if (fd && ::read(fd.get(), &value, 1) == 1 && value == '0') {
    log::info(
        "no --listen: if the command binds with SO_REUSEPORT, connections in its queue are lost "
        "at a reload (hint: sysctl net.ipv4.tcp_migrate_req=1, or better --listen)");
  }
  return {};
}

Result<> Instance::openControl() {
  if (settings_.instance.control == "none") return {};
  std::string path = settings_.instance.control;
  bool fixed = !path.empty();
  if (!fixed) {
    auto base = runtimeBase();
    if (!base.ok()) return std::move(base).error();
    path = controlPath(*base, settings_.instance.name);
  }
  auto locked = control_lock_.acquire(path + ".lock", false);
  bool listens = std::any_of(settings_.services.begin(), settings_.services.end(),
                             [](const ServiceOptions& s) { return !s.listens.empty(); });
  if (!locked.ok() && locked.error().code == ErrorCode::kConflict && !fixed && !listens) {
    // Two equal commands without sockets can well run side by side.
    settings_.instance.name += "-" + std::to_string(::getpid());
    auto base = runtimeBase();
    path = controlPath(*base, settings_.instance.name);
    locked = control_lock_.acquire(path + ".lock", false);
  }
  GODWIT_TRY(locked);
  control_ = std::make_unique<Control>(
      loop_, [this](Control::ClientId c, const JsonValue& request) { onRequest(c, request); },
      [this](Control::ClientId c) {
        subscribers_.erase(c);
        std::erase_if(waiters_, [c](const Waiter& w) { return w.client == c; });
      });
  return control_->open(path);
}

void Instance::loopUntilEnded() {
  if (manager_.watchdogPeriod() > 0) {
    watchdog_ = std::make_unique<Timer>(loop_, [this] {
      bool good = std::all_of(services_.begin(), services_.end(),
                              [](const auto& s) { return s->ended() || s->healthy(); });
      if (good) manager_.alive();
      watchdog_->armIn(manager_.watchdogPeriod() / 2);
    });
    watchdog_->armIn(manager_.watchdogPeriod() / 2);
  }
  for (;;) {
    afterTurn();
    bool all_ended =
        std::all_of(services_.begin(), services_.end(), [](const auto& s) { return s->ended(); });
    if (all_ended) return;
    bool idle = std::all_of(services_.begin(), services_.end(),
                            [](const auto& s) { return s->machine().idle(); });
    if (idle && !was_idle_) giveBackCode();
    was_idle_ = idle;
    TimeNs next = kNever;
    for (auto& s : services_) {
      if (!s->ended()) next = std::min(next, s->nextDeadline());
    }
    if (!loop_.turn(next)) {
      log::error("epoll failed", {{"why", errnoText(errno)}});
      exit_code_ = kExitOs;
      killAll();
      return;
    }
  }
}

void Instance::afterTurn() {
  beginWaiting();
  if (stopping_) stopNext();
  TimeNs now = monotonicNow();
  for (auto& s : services_) {
    if (!s->ended()) s->step(now);
  }
  // A service that has left the configuration goes when it has ended.
  std::erase_if(services_, [&](const auto& s) {
    bool kept = std::any_of(settings_.services.begin(), settings_.services.end(),
                            [&](const ServiceOptions& o) { return o.name == s->name(); });
    return s->ended() && !kept && services_.size() > 1;
  });
  if (changed_) {
    changed_ = false;
    tellManager();
    if (!stopping_) storeSockets();
    writeMetricsFile();
  }
  if (manager_.behind()) {
    manager_.flush();
    if (manager_.behind()) manager_retry_.armIn(kManagerRetry);
  }
  if (upgrade_wanted_ && self_check_ == 0) checkNewBinary();
}

void Instance::beginWaiting() {
  if (stopping_) return;
  for (auto& s : services_) {
    if (s->machine().state() != ServiceState::kWaiting) continue;
    bool can = std::all_of(s->options().after.begin(), s->options().after.end(),
                           [&](const std::string& name) {
                             Service* before = find(name);
                             return !before || before->wasReady();
                           });
    if (can) s->begin();
  }
}

// The reverse of the start: a service stops when everything that came after it has ended.
void Instance::stopNext() {
  for (auto& s : services_) {
    ServiceState state = s->machine().state();
    if (state == ServiceState::kStopping || state == ServiceState::kStopped) continue;
    bool needed = std::any_of(services_.begin(), services_.end(), [&](const auto& other) {
      const auto& after = other->options().after;
      return !other->ended() && std::find(after.begin(), after.end(), s->name()) != after.end();
    });
    if (!needed) s->stop(stop_signal_);
  }
}

void Instance::tellManager() {
  bool all_ready = true;
  bool reloading = false;
  std::string text;
  for (auto& s : services_) {
    all_ready = all_ready && s->wasReady();
    reloading = reloading || s->machine().state() == ServiceState::kReloading;
    text +=
        (text.empty() ? "" : "; ") + (services_.size() > 1 ? s->name() + ": " : "") + s->summary();
  }
  if (stopping_) return;
  if (all_ready) manager_.ready();
  if (reloading) {
    manager_.reloading();
  } else {
    manager_.reloaded();
  }
  manager_.status(text);
}

void Instance::storeSockets() {
  std::vector<Listener::Stored> sockets;
  std::map<std::string, int> active;
  for (const auto& s : services_) {
    if (s->ended()) continue;
    active[s->name()] = s->activeSlot();
    for (auto& stored : s->storable()) sockets.push_back(std::move(stored));
  }
  manager_.store(sockets, active);
}

std::string Instance::metricsText() const {
  MetricsText m;
  for (const auto& s : services_) s->writeMetrics(m);
  m.counter("godwit_run_orphans_reaped_total", "Children reaped that were nobody's.", {},
            static_cast<double>(children_.orphans()));
  m.counter("godwit_run_wakeups_total", "Turns of the event loop.", {},
            static_cast<double>(loop_.wakeups()));
  m.counter("godwit_run_log_lines_dropped_total", "Lines the log's reader was too slow for.", {},
            static_cast<double>(log::droppedLines()));
  return m.text();
}

void Instance::writeMetricsFile() {
  const std::string& path = settings_.instance.metrics_file;
  if (path.empty()) return;
  std::string temporary = path + ".new";
  std::string text = metricsText();
  UniqueFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  bool good =
      fd && ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
  if (good && ::rename(temporary.c_str(), path.c_str()) == 0) return;
  log::warn("cannot write " + path, {{"why", errnoText(errno)}});
  ::unlink(temporary.c_str());
}

void Instance::onChange(Service&) { changed_ = true; }

void Instance::onEvent(Service&, const std::string& json) {
  // A copy: a subscriber that is too slow is dropped in the middle.
  for (Control::ClientId c : std::set<Control::ClientId>(subscribers_)) control_->reply(c, json);
}

void Instance::onEnded(Service& service, int exit_code) {
  log::info("service ended", {{"service", service.name()}, {"code", exit_code}});
  if (exit_code_ == 0) exit_code_ = exit_code;
  changed_ = true;
}

}  // namespace godwit::supervise
