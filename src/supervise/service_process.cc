// The end of processes, and what they say while they run.
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/log.h"
#include "supervise/procfs.h"
#include "supervise/service.h"

namespace godwit::supervise {
namespace {
constexpr TimeNs kStragglerPatience = 5 * kSecond;
constexpr TimeNs kLeftoverWatch = 3 * kSecond;
}  // namespace

// The leader is a zombie still: its pid and group are its own.
void Service::leaderExited(int gen, const ExitStatus& status) {
  Running* r = find(gen);
  if (!r) return;
  TimeNs now = monotonicNow();
  onExecResult(gen);  // a failed exec says more than its exit code
  if (r->err) r->err->drain();
  if (r->out) r->out->drain();
  // A last word may still be in the socket: READY=1 and then an exit, or STOPPING=1.
  notify_.receiveAll();
  r->leader_gone = true;
  std::string code =
      status.signaled ? "signal-" + std::to_string(status.code) : std::to_string(status.code);
  ++metrics_.exits[code];
  log::info("generation exited",
            {{"service", name()},
             {"gen", gen},
             {"pid", r->pid},
             {"status", status.signaled ? "SIG" + signalName(status.code)
                                        : "exit " + std::to_string(status.code)}});
  auto left = shared_.children.stragglers(r->pid, marker(gen));
  if (!left.empty()) {
    log::info("ending what it left behind",
              {{"service", name()}, {"gen", gen}, {"processes", left.size()}});
    ::kill(-r->pid, SIGTERM);
    for (pid_t p : left) ::kill(p, SIGTERM);
    for (pid_t p : left) ::kill(p, SIGCONT);
    r->kill_stragglers_at = now + kStragglerPatience;
    sweep_timer_.armAt(r->kill_stragglers_at);
  }
  dirty_ = true;
  machine_.leaderExited(gen, status, now);
  if (r->readiness) r->readiness_over = true;
  runHooks("exit", gen, 0, code);
}

// Looks which dead leaders have nothing left behind any more. Runs after each death of a child
// and when patience ends.
void Service::sweep(TimeNs now) {
  dirty_ = false;
  std::vector<int> gone;
  TimeNs next = kNever;
  for (auto& [id, r] : running_) {
    if (!r->leader_gone) continue;
    auto left = shared_.children.stragglers(r->pid, marker(id));
    if (left.empty()) {
      gone.push_back(id);
      continue;
    }
    if (r->kill_stragglers_at == kNever) r->kill_stragglers_at = now + kStragglerPatience;
    if (now >= r->kill_stragglers_at) {
      ++metrics_.kills;
      // Children of ours and unreaped: these pids are theirs.
      for (pid_t p : left) ::kill(p, SIGKILL);
      r->kill_stragglers_at = now + 100 * kMs;
    }
    next = std::min(next, r->kill_stragglers_at);
  }
  sweep_timer_.armAt(next);
  for (int id : gone) allGone(id);
}

void Service::allGone(int gen) {
  Running* r = find(gen);
  if (!r) return;
  if (r->exec_result) shared_.loop.remove(r->exec_result.get());
  if (r->out) r->out->finish();
  if (r->err) r->err->finish();
  if (!r->probe_path.empty()) ::unlink(r->probe_path.c_str());
  if (const GenRecord* g = machine_.find(gen); g && g->stopping_at != 0 && g->active_at != 0) {
    metrics_.drain_seconds.add(monotonicNow() - g->stopping_at);
  }
  int slot = r->slot;
  running_.erase(gen);
  retireSlots(slot);
  machine_.allGone(gen, monotonicNow());
  listener_.onChange(*this);
}

// Connections whose handshake ended after the switch would hang in a queue nobody serves.
void Service::retireSlots(int slot) {
  for (auto& l : listeners_) {
    if (l->kind() == Listener::Kind::kShared) continue;
    l->retire(slot);
    int fd = l->slotFd(slot);
    if (fd < 0 || !l->isRetired(slot)) continue;
    auto entry = std::make_unique<Retired>();
    Retired* raw = entry.get();
    auto flush = [this, raw](bool final) {
      int n = raw->listener->flushRetired(raw->slot, final);
      if (n == 0) return;
      metrics_.leftover_resets += static_cast<std::uint64_t>(n);
      log::warn("connections reached a retired generation and were reset (hint: raise --linger)",
                {{"service", name()}, {"count", n}, {"slot", raw->slot}});
    };
    entry->listener = l.get();
    entry->slot = slot;
    entry->fd = fd;
    entry->timer = std::make_unique<Timer>(shared_.loop, [this, raw, flush] {
      shared_.loop.remove(raw->fd);
      flush(true);
      std::erase_if(retired_, [raw](const auto& r) { return r.get() == raw; });
    });
    entry->timer->armIn(kLeftoverWatch);
    flush(false);
    if (shared_.loop.add(fd, EPOLLIN, [flush](std::uint32_t) { flush(false); }).ok()) {
      retired_.push_back(std::move(entry));
    }
  }
}

// The slot is needed again.
void Service::dropRetired(int slot) {
  std::erase_if(retired_, [&](const auto& r) {
    if (r->slot != slot) return false;
    shared_.loop.remove(r->fd);
    int n = r->listener->flushRetired(slot, true);
    metrics_.leftover_resets += static_cast<std::uint64_t>(n);
    return true;
  });
}

void Service::onNotify(pid_t sender, const NotifySocket::Message& message) {
  Running* from = nullptr;
  for (auto& [id, r] : running_) {
    if (!r->leader_gone && belongsTo(sender, r->pid)) from = r.get();
  }
  if (!from) {
    log::warn("notification from a foreign process ignored",
              {{"service", name()}, {"pid", sender}});
    return;
  }
  auto get = [&](std::string_view key) {
    auto it = message.find(key);
    return it == message.end() ? std::string() : it->second;
  };
  int gen = from->id;
  if (std::string status = get("STATUS"); !status.empty()) from->status = status.substr(0, 512);
  if (auto usec = parseInt(get("EXTEND_TIMEOUT_USEC"), 1, std::int64_t{3600} * 1000000)) {
    machine_.extendTimeout(gen, monotonicNow() + *usec * 1000);
  }
  if (get("WATCHDOG") == "1" && gen == live_gen_ && options_.watchdog > 0) {
    watchdog_timer_.armIn(options_.watchdog);
  } else if (get("WATCHDOG") == "trigger") {
    machine_.unhealthy(gen, {"watchdog", "it reported itself as failed"}, monotonicNow());
  }
  // Last, for these may end the readiness that is asked here.
  if (from->readiness && !from->readiness_over) from->readiness->onNotify(message);
  if (get("STOPPING") == "1") machine_.saidStopping(gen, monotonicNow());
}

void Service::onReady(int gen) {
  Running* r = find(gen);
  if (!r) return;
  TimeNs now = monotonicNow();
  metrics_.ready_seconds.add(now - r->started);
  log::info("generation ready",
            {{"service", name()}, {"gen", gen}, {"seconds", formatSeconds(now - r->started)}});
  r->readiness_over = true;
  machine_.ready(gen, now);
}

}  // namespace godwit::supervise
