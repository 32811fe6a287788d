// What a service tells: status and metrics.
#include <ctime>

#include "supervise/procfs.h"
#include "supervise/service.h"

namespace godwit::supervise {
namespace {

std::string isoTime(std::int64_t seconds) {
  time_t t = static_cast<time_t>(seconds);
  tm parts{};
  gmtime_r(&t, &parts);
  char buffer[32];
  std::size_t n = strftime(buffer, sizeof buffer, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return {buffer, n};
}

constexpr std::string_view kModes[] = {"slots", "unix", "shared"};

}  // namespace

std::string Service::summary() const {
  std::string out;
  for (const GenRecord& g : machine_.generations()) {
    if (g.state == GenState::kDead) continue;
    out += (out.empty() ? "" : ", ") + std::string("gen ") + std::to_string(g.id) + " " +
           std::string(supervise::name(g.state));
  }
  if (out.empty()) out = std::string(supervise::name(machine_.state()));
  if (!failures_.empty() &&
      failures_.front().gen > (machine_.active() ? machine_.active()->id : 0)) {
    out += ", gen " + std::to_string(failures_.front().gen) +
           " failed: " + failures_.front().reason.text;
  }
  return out;
}

std::string Service::stderrOf(int gen) const {
  const GenRecord* active = machine_.active();
  if (gen == 0 && active) gen = active->id;
  if (const Running* r = find(gen); r && r->err) return r->err->tail();
  for (const Failure& f : failures_) {
    if (f.gen == gen) return f.stderr_tail;
  }
  return "";
}

std::string Service::environmentNames() const {
  const GenRecord* active = machine_.active();
  const Running* r = active ? find(active->id) : nullptr;
  std::string out;
  if (!r) return out;
  for (const auto& [k, v] : r->release->env) out += k + "\n";
  return out;
}

std::string Service::failureText(const AttemptResult& result) const {
  for (const Failure& f : failures_) {
    if (f.gen == result.gen && result.gen != 0) return f.stderr_tail;
  }
  return "";
}

void Service::writeStatus(JsonWriter& out) const {
  TimeNs now = monotonicNow();
  const GenRecord* active = machine_.active();
  out.beginObject().field("service", name());
  out.field("state", supervise::name(machine_.state())).field("pending", machine_.pending());
  out.field("active", active ? active->id : 0);
  if (active) out.field("since", isoTime(active_since_));
  if (machine_.rolledBackFrom() != 0) out.field("rolled_back_from", machine_.rolledBackFrom());
  if (machine_.canaryPercent() != 0) out.field("canary_percent", machine_.canaryPercent());
  std::uint64_t failed = 0;
  for (const auto& [reason, n] : metrics_.reloads_failed) failed += n;
  out.key("reloads").beginObject().field("ok", metrics_.reloads_ok).field("failed", failed);
  out.endObject().field("restarts", machine_.restarts());
  if (machine_.restartAt() > now) {
    out.key("restart_in_s").raw(formatSeconds(machine_.restartAt() - now));
  }
  out.key("listen").beginArray();
  for (const auto& l : listeners_) {
    out.beginObject().field("name", l->spec().name).field("addr", l->spec().address());
    out.field("mode", kModes[static_cast<std::size_t>(l->kind())]);
    out.field("active_slot", l->activeSlot()).key("queue").beginArray();
    for (int k = 0; k < l->slotCount(); ++k) out.integer(l->queueLength(k));
    out.endArray().field("backlog", l->spec().backlog).endObject();
  }
  out.endArray().key("generations").beginArray();
  for (const GenRecord& g : machine_.generations()) {
    const Running* r = find(g.id);
    out.beginObject().field("gen", g.id).field("pid", r ? r->pid : 0);
    out.field("state", supervise::name(g.state)).field("slot", g.slot);
    if (g.ready_at != 0) out.field("ready_ms", (g.ready_at - g.started) / kMs);
    out.key("age_s").raw(formatSeconds(now - g.started));
    if (r) {
      if (r->paused) out.field("paused", true);
      out.field("rss", treeRss(r->pid));
      if (!r->release->release.empty()) out.field("release", r->release->release);
      out.field("cwd", r->release->cwd);
      if (!r->status.empty()) out.field("status", r->status);
    }
    out.endObject();
  }
  out.endArray();
  if (!failures_.empty()) {
    const Failure& f = failures_.front();
    out.key("last_failure").beginObject().field("gen", f.gen).field("reason", f.reason.kind);
    out.field("detail", f.reason.text);
    if (f.code >= 0) out.field("code", f.code);
    out.field("after_ms", f.after / kMs).field("stderr", f.stderr_tail).endObject();
  }
  out.endObject();
}

void Service::writeMetrics(MetricsText& out) const {
  MetricsText::Labels mine = {{"service", name()}};
  auto with = [&](std::string_view key, std::string value) {
    MetricsText::Labels l = mine;
    l.emplace_back(key, std::move(value));
    return l;
  };
  const GenRecord* active = machine_.active();
  out.gauge("godwit_run_generation", "Number of the active generation, 0 when there is none.", mine,
            active ? active->id : 0);
  for (std::size_t s = 0; s + 1 < kGenStates; ++s) {
    int n = 0;
    for (const GenRecord& g : machine_.generations()) n += g.state == GenState(s);
    out.gauge("godwit_run_generations", "Generations in each state.",
              with("state", std::string(supervise::name(GenState(s)))), n);
  }
  auto reload = [&](const std::string& result, const std::string& reason, std::uint64_t n) {
    MetricsText::Labels l = with("result", result);
    l.emplace_back("reason", reason);
    out.counter("godwit_run_reload_total", "Starts and reloads that have ended.", l,
                static_cast<double>(n));
  };
  reload("ok", "", metrics_.reloads_ok);
  for (const auto& [reason, n] : metrics_.reloads_failed) reload("failed", reason, n);
  metrics_.reload_seconds.write(out, "godwit_run_reload_seconds",
                                "From spawn until the old generation was told to end.", mine);
  metrics_.ready_seconds.write(out, "godwit_run_ready_seconds", "From spawn to readiness.", mine);
  metrics_.drain_seconds.write(out, "godwit_run_drain_seconds",
                               "From the stop signal to the end of the last process.", mine);
  for (const auto& [code, n] : metrics_.exits) {
    out.counter("godwit_run_child_exits_total", "Ends of generations by exit code.",
                with("code", code), static_cast<double>(n));
  }
  out.counter("godwit_run_kills_total", "SIGKILLs sent.", mine,
              static_cast<double>(metrics_.kills));
  out.counter("godwit_run_rollbacks_total", "Returns to an older generation that still ran.", mine,
              static_cast<double>(metrics_.rollbacks));
  out.gauge("godwit_run_restart_backoff_seconds", "Delay of the restart under way.", mine,
            static_cast<double>(metrics_.restart_backoff) / static_cast<double>(kSecond));
  for (const auto& l : listeners_) {
    for (int k = 0; k < l->slotCount(); ++k) {
      int n = l->queueLength(k);
      if (n < 0) continue;
      MetricsText::Labels labels = with("listen", l->spec().name);
      labels.emplace_back("slot", std::to_string(k));
      out.gauge("godwit_run_accept_queue", "Connections waiting to be accepted.", labels, n);
    }
  }
  out.counter("godwit_run_leftover_reset_total",
              "Connections that reached a retired generation and were reset.", mine,
              static_cast<double>(metrics_.leftover_resets));
  for (const auto& [id, r] : running_) {
    if (r->leader_gone) continue;
    out.gauge("godwit_run_child_rss_bytes", "Resident memory of a generation's processes.",
              with("gen", std::to_string(id)), static_cast<double>(treeRss(r->pid)));
  }
}

}  // namespace godwit::supervise
