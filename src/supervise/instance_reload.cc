// Reloads, and who waits for their end.
#include <algorithm>

#include "base/log.h"
#include "supervise/config.h"
#include "supervise/exit_code.h"
#include "supervise/instance.h"
#include "supervise/places.h"

namespace godwit::supervise {
namespace {
constexpr std::size_t kRecent = 64;

std::string_view word(Outcome o) {
  static constexpr std::string_view kWords[] = {"active", "failed", "superseded", "refused",
                                                "rolled_back"};
  return kWords[static_cast<std::size_t>(o)];
}

int codeOf(Outcome o) {
  switch (o) {
    case Outcome::kActive:
      return kClientOk;
    case Outcome::kFailed:
      return kClientFailed;
    case Outcome::kSuperseded:
      return kClientSuperseded;
    case Outcome::kRefused:
      return kClientRefused;
    case Outcome::kRolledBack:
      return kClientRolledBack;
  }
  return kClientFailed;
}
}  // namespace

// Options are what the command line and the file say now; "" or why they cannot be used.
std::string Instance::readSettingsAgain(const std::string& only) {
  if (settings_.instance.config.empty()) return "";
  std::vector<std::string> args = args_;
  auto fresh = readSettings(args);
  if (!fresh.ok()) return fresh.error().message;
  makeAbsolute(*fresh, cwd_);
  bool single =
      settings_.services.size() == 1 && settings_.services.front().name == settings_.instance.name;
  for (ServiceOptions& o : fresh->services) {
    // A single command keeps its name, though the name may follow from changed options.
    if (single && fresh->services.size() == 1) o.name = settings_.services.front().name;
    if (!only.empty() && o.name != only) continue;
    if (Service* s = find(o.name)) {
      if (std::string why = unchangeable(s->options(), o); !why.empty()) {
        return s->name() + ": " + why;
      }
    }
  }
  for (const ServiceOptions& o : fresh->services) {
    if (!only.empty() && o.name != only) continue;
    if (Service* s = find(o.name)) {
      if (std::string why = s->reconfigure(o); !why.empty()) return s->name() + ": " + why;
      continue;
    }
    auto s = std::make_unique<Service>(*shared_, news(), o);
    if (auto r = s->open(); !r.ok()) return o.name + ": " + r.error().message;
    log::info("service added", {{"service", o.name}});
    services_.push_back(std::move(s));
  }
  if (!only.empty()) return "";
  for (auto& s : services_) {
    bool kept = std::any_of(fresh->services.begin(), fresh->services.end(),
                            [&](const ServiceOptions& o) { return o.name == s->name(); });
    if (kept) continue;
    log::info("service removed", {{"service", s->name()}});
    s->stop(0);
  }
  // Of the instance itself, only what has no socket or file open.
  settings_.instance.verbose = fresh->instance.verbose;
  settings_.instance.signals = fresh->instance.signals;
  settings_.instance.upgrade_to = fresh->instance.upgrade_to;
  settings_.instance.metrics_file = fresh->instance.metrics_file;
  settings_.services = std::move(fresh->services);
  configureLog();
  return "";
}

Instance::Started Instance::reload(const std::string& service, bool now) {
  Started out;
  if (stopping_) {
    out.refused = "stopping";
    return out;
  }
  if (!service.empty() && !find(service)) {
    out.refused = "no service " + service;
    return out;
  }
  out.refused = readSettingsAgain(service);
  if (!out.refused.empty()) return out;
  for (auto& s : services_) {
    if (!service.empty() && s->name() != service) continue;
    ServiceState state = s->machine().state();
    if (state == ServiceState::kWaiting || state == ServiceState::kStopping ||
        state == ServiceState::kStopped) {
      continue;
    }
    int attempt = s->machine().reload(monotonicNow(), now);
    if (attempt != 0) out.attempts[s->name()] = attempt;
  }
  if (out.attempts.empty() && out.refused.empty()) out.refused = "nothing to reload";
  return out;
}

void Instance::wait(Control::ClientId client, const std::map<std::string, int>& attempts) {
  waiters_.push_back({client, attempts, {}, 0, ""});
  // Some may have ended while they were being started.
  std::deque<std::pair<std::string, AttemptResult>> recent = recent_;
  for (const auto& [name, result] : recent) {
    Service* s = find(name);
    if (s) settle(waiters_.back(), *s, result);
  }
  if (waiters_.back().open.empty()) {
    answer(waiters_.back());
    waiters_.pop_back();
  }
}

void Instance::settle(Waiter& w, Service& service, const AttemptResult& result) {
  auto mine = w.open.find(service.name());
  if (mine == w.open.end() || mine->second != result.attempt) return;
  if (result.outcome == Outcome::kSuperseded) {
    mine->second = result.successor;
    w.superseded.insert(service.name());
    return;
  }
  int code = codeOf(result.outcome);
  if (w.superseded.count(service.name()) && code == kClientOk) code = kClientSuperseded;
  if (w.code == 0 || code == kClientFailed) w.code = code;
  JsonWriter j;
  j.beginObject().field("service", service.name());
  j.field("outcome", code == kClientSuperseded ? "superseded" : word(result.outcome));
  if (result.gen != 0) j.field("gen", result.gen);
  if (!result.reason.kind.empty()) {
    j.field("reason", result.reason.kind).field("detail", result.reason.text);
  }
  if (code == kClientFailed) j.field("stderr", service.failureText(result));
  j.endObject();
  w.results += (w.results.empty() ? "" : ",") + j.text();
  w.open.erase(mine);
}

void Instance::answer(Waiter& w) {
  control_->reply(w.client, "{\"ok\":" + std::string(w.code == 0 ? "true" : "false") +
                                ",\"code\":" + std::to_string(w.code) + ",\"results\":[" +
                                w.results + "]}");
}

void Instance::onAttempt(Service& service, const AttemptResult& result) {
  recent_.emplace_back(service.name(), result);
  if (recent_.size() > kRecent) recent_.pop_front();
  std::vector<Waiter> done;
  for (Waiter& w : waiters_) settle(w, service, result);
  for (Waiter& w : waiters_) {
    if (w.open.empty()) done.push_back(w);
  }
  std::erase_if(waiters_, [](const Waiter& w) { return w.open.empty(); });
  for (Waiter& w : done) answer(w);
}

}  // namespace godwit::supervise
