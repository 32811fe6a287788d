#include "supervise/service.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "base/os_error.h"
#include "supervise/config.h"

namespace godwit::supervise {

Service::Service(Shared& shared, ServiceListener& listener, ServiceOptions options)
    : shared_(shared),
      listener_(listener),
      options_(std::move(options)),
      machine_(*this, options_.policy),
      notify_(shared.loop,
              [this](pid_t sender, const NotifySocket::Message& m) { onNotify(sender, m); }),
      check_failed_(
          shared.loop,
          [this] { machine_.checkDone(checking_, false, check_reason_, monotonicNow()); }),
      sweep_timer_(shared.loop, [this] { dirty_ = true; }),
      live_timer_(shared.loop, [this] { probeLive(); }),
      watchdog_timer_(
          shared.loop,
          [this] {
            machine_.unhealthy(live_gen_, {"watchdog", "no WATCHDOG=1 in time"}, monotonicNow());
          }),
      soak_timer_(shared.loop, [this] { probeSoak(); }),
      rss_timer_(shared.loop, [this] { checkRss(); }),
      age_timer_(shared.loop, [this] { recycle("max-age"); }) {}

Service::~Service() {
  for (auto& [id, r] : running_) {
    if (r->exec_result) shared_.loop.remove(r->exec_result.get());
    shared_.children.forget(r->pid);
  }
  for (auto& r : retired_) shared_.loop.remove(r->fd);
  for (auto& l : listeners_) l->close();
  if (!options_.child_pidfile.empty() && was_ready_) ::unlink(options_.child_pidfile.c_str());
  if (!notify_.path().empty()) ::unlink(notify_.path().c_str());
}

Result<> Service::open() {
  for (const ListenSpec& spec : options_.listens) {
    auto l = Listener::create(spec, options_.policy.slots, shared_.inherited_fds, name());
    if (!l.ok()) return std::move(l).error();
    if (!(*l)->fallbackReason().empty()) {
      log::warn("one socket for all generations",
                {{"service", name()}, {"listen", spec.address()}, {"why", (*l)->fallbackReason()}});
    }
    listeners_.push_back(std::move(*l));
  }
  fitSlots();
  machine_.setPublicSlot(activeSlot());
  uid_t uid = ::getuid();
  gid_t gid = ::getgid();
  if (!options_.user.empty()) {
    auto u = findUser(options_.user);
    if (!u.ok()) return Error(ErrorCode::kInvalid, "--user " + options_.user + ": not found");
    uid = u->uid;
    gid = u->gid;
  }
  GODWIT_TRY(notify_.open(shared_.runtime_dir + "/notify." + name(), uid, gid));
  if (!options_.log.empty()) {
    log_ = std::make_unique<Sink>(shared_.loop, options_.log);
    GODWIT_TRY(log_->reopen());
  }
  if (!options_.watch.empty()) {
    watch_ = std::make_unique<PathWatch>(shared_.loop, [this] { recycle("watch"); });
    GODWIT_TRY(watch_->open(options_.watch, shared_.logical_cwd));
  }
  return {};
}

// No more generations than there are sockets for: those of an earlier supervisor may be fewer than
// are wanted now.
void Service::fitSlots() {
  Policy& p = options_.policy;
  p.has_queue = false;
  for (const auto& l : listeners_) {
    if (l->kind() == Listener::Kind::kShared) continue;
    p.has_queue = true;
    p.slots = std::min(p.slots, l->slotCount());
  }
  p.max_generations = std::min(p.max_generations, p.slots - 1);
  machine_.setPolicy(p);
}

int Service::activeSlot() const {
  for (const auto& l : listeners_) {
    if (l->kind() != Listener::Kind::kShared) return l->activeSlot();
  }
  return 0;
}

std::string Service::reconfigure(const ServiceOptions& wanted) {
  if (std::string why = unchangeable(options_, wanted); !why.empty()) return why;
  std::vector<std::unique_ptr<Listener>> added;
  for (const ListenSpec& spec : wanted.listens) {
    bool have = std::any_of(listeners_.begin(), listeners_.end(),
                            [&](const auto& l) { return l->spec().name == spec.name; });
    if (have) continue;
    auto l = Listener::create(spec, options_.policy.slots, shared_.inherited_fds, name());
    if (!l.ok()) return l.error().message;
    added.push_back(std::move(*l));
  }
  int slots = options_.policy.slots;
  for (auto& l : added) listeners_.push_back(std::move(l));
  options_ = wanted;
  // In the order of the options: descriptors are handed over in it.
  auto place = [&](const std::unique_ptr<Listener>& l) {
    return std::find_if(wanted.listens.begin(), wanted.listens.end(),
                        [&](const ListenSpec& s) { return s.name == l->spec().name; });
  };
  std::sort(listeners_.begin(), listeners_.end(),
            [&](const auto& a, const auto& b) { return place(a) < place(b); });
  options_.policy.slots = slots;
  fitSlots();
  route(routing_);
  watch_.reset();
  if (!options_.watch.empty()) {
    watch_ = std::make_unique<PathWatch>(shared_.loop, [this] { recycle("watch"); });
    if (auto r = watch_->open(options_.watch, shared_.logical_cwd); !r.ok()) {
      log::warn(r.error().message, {{"service", name()}});
    }
  }
  return "";
}

// Once stopping, nobody may queue for a generation that will not come.
void Service::closeSockets() {
  closed_ = true;
  for (auto& r : retired_) shared_.loop.remove(r->fd);
  retired_.clear();
  for (auto& l : listeners_) l->close();
}

void Service::step(TimeNs now) {
  machine_.tick(now);
  if (machine_.state() == ServiceState::kStopping && !closed_) closeSockets();
  if (dirty_) sweep(now);
  for (auto& [id, r] : running_) {
    if (r->readiness_over) r->readiness.reset();
  }
  std::erase_if(hooks_, [](const auto& h) { return !h->running(); });
}

Service::Running* Service::find(int gen) {
  auto it = running_.find(gen);
  return it == running_.end() ? nullptr : it->second.get();
}
const Service::Running* Service::find(int gen) const {
  auto it = running_.find(gen);
  return it == running_.end() ? nullptr : it->second.get();
}

int Service::activePid() const {
  const GenRecord* g = machine_.active();
  const Running* r = g ? find(g->id) : nullptr;
  return r ? r->pid : 0;
}

bool Service::healthy() const { return machine_.active() != nullptr && live_failures_ == 0; }

void Service::stop(int signal) {
  check_failed_.disarm();
  for (auto& [id, r] : running_) {
    if (r->paused) this->signal(id, SIGCONT, true);
  }
  machine_.stop(monotonicNow(), signal);
}

bool Service::forward(int signal, int gen) {
  const GenRecord* active = machine_.active();
  if (gen == 0 && active) gen = active->id;
  const Running* r = find(gen);
  return r && !r->leader_gone && signalProcess(r->pidfd.get(), r->pid, signal);
}

void Service::forwardAll(int signal) {
  for (auto& [id, r] : running_) {
    if (!r->leader_gone) signalProcess(r->pidfd.get(), r->pid, signal);
  }
}

bool Service::pause(bool on) {
  const GenRecord* active = machine_.active();
  Running* r = active ? find(active->id) : nullptr;
  if (!r || r->leader_gone) return false;
  signal(r->id, on ? SIGSTOP : SIGCONT, true);
  r->paused = on;
  log::info(on ? "generation paused" : "generation resumed",
            {{"service", name()}, {"gen", r->id}, {"pid", r->pid}});
  emit(on ? "paused" : "resumed", r->id, "");
  healthFollows();
  return true;
}

void Service::reopenLogs() {
  if (!log_) return;
  if (auto r = log_->reopen(); !r.ok()) log::error(r.error().message, {{"service", name()}});
}

void Service::writePidfile(pid_t pid) {
  if (options_.child_pidfile.empty()) return;
  std::string temporary = options_.child_pidfile + ".new";
  std::string text = std::to_string(pid) + "\n";
  UniqueFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  bool good =
      fd && ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
  good = good && ::rename(temporary.c_str(), options_.child_pidfile.c_str()) == 0;
  if (good) return;
  int error = errno;
  ::unlink(temporary.c_str());
  log::error("cannot write " + options_.child_pidfile,
             {{"service", name()}, {"why", errnoText(error)}});
}

void Service::emit(std::string_view event, int gen, const std::string& text) {
  JsonWriter w;
  w.beginObject().field("event", event).field("service", name());
  if (gen != 0) w.field("gen", gen);
  if (!text.empty()) w.field("text", text);
  w.endObject();
  listener_.onEvent(*this, w.text());
}

std::vector<Listener::Stored> Service::storable() const {
  std::vector<Listener::Stored> out;
  for (const auto& l : listeners_) {
    for (auto& s : l->storable(name())) out.push_back(std::move(s));
  }
  return out;
}

void Service::flushOutput() {
  for (auto& [id, r] : running_) {
    if (r->out) r->out->drain();
    if (r->err) r->err->drain();
  }
  notify_.receiveAll();
}

}  // namespace godwit::supervise
