// What may be asked on the control socket.
#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "supervise/exit_code.h"
#include "supervise/instance.h"

namespace godwit::supervise {

void Instance::fail(Control::ClientId client, int code, const std::string& why) {
  JsonWriter w;
  w.beginObject().field("ok", false).field("code", code).field("error", why).endObject();
  control_->reply(client, w.text());
}

void Instance::succeed(Control::ClientId client, const std::string& text) {
  JsonWriter w;
  w.beginObject().field("ok", true).field("code", 0);
  if (!text.empty()) w.field("text", text);
  w.endObject();
  control_->reply(client, w.text());
}

void Instance::writeStatus(JsonWriter& out) const {
  out.beginObject().field("ok", true).field("code", 0).field("pid", static_cast<int>(::getpid()));
  out.field("name", settings_.instance.name).field("stopping", stopping_);
  out.key("services").beginArray();
  for (const auto& s : services_) s->writeStatus(out);
  out.endArray().endObject();
}

void Instance::onRequest(Control::ClientId client, const JsonValue& request) {
  std::string command = request.at("cmd").str();
  std::string name = request.at("service").str();
  TimeNs now = monotonicNow();
  std::vector<Service*> chosen;
  for (auto& s : services_) {
    if (name.empty() || s->name() == name) chosen.push_back(s.get());
  }
  if (chosen.empty()) return fail(client, kClientRefused, "no service " + name);
  // Commands that make sense for one service only.
  auto one = [&]() -> Service* {
    if (chosen.size() == 1) return chosen.front();
    fail(client, kClientRefused, "there are several services: name one");
    return nullptr;
  };
  auto each = [&](auto&& f, const std::string& otherwise) {
    bool any = false;
    for (Service* s : chosen) any = f(*s) || any;
    if (any) return succeed(client);
    fail(client, kClientRefused, otherwise);
  };

  if (command == "status") {
    JsonWriter w;
    writeStatus(w);
    control_->reply(client, w.text());
  } else if (command == "reload") {
    log::info("reload", {{"by", "control"}});
    Started s = reload(name, request.at("now").flag());
    if (!s.refused.empty()) {
      int code = stopping_ || s.refused == "nothing to reload" ? kClientRefused : kClientFailed;
      return fail(client, code, s.refused);
    }
    if (request.at("wait").flag()) return wait(client, s.attempts);
    succeed(client);
  } else if (command == "rollback") {
    std::map<std::string, int> attempts;
    bool at_once = false;
    for (Service* s : chosen) {
      int r = s->machine().rollback(now);
      if (r > 0) attempts[s->name()] = r;
      at_once = at_once || r < 0;
    }
    if (attempts.empty() && !at_once) {
      return fail(client, kClientRefused, "there is no older generation or release to go back to");
    }
    if (attempts.empty() || !request.at("wait").flag()) return succeed(client);
    wait(client, attempts);
  } else if (command == "promote") {
    each([&](Service& s) { return s.machine().promoteNow(now); }, "no generation is soaking");
  } else if (command == "canary") {
    std::int64_t percent = request.at("percent").num(-1);
    if (percent < 0 || percent > 100) return fail(client, kClientRefused, "percent is 0 to 100");
    each([&](Service& s) { return s.machine().setCanary(static_cast<int>(percent)); },
         "no generation is soaking");
  } else if (command == "stop") {
    if (request.has("timeout") && request.at("timeout").num(-1) < 0) {
      return fail(client, kClientRefused, "timeout is a number of milliseconds");
    }
    bool single = !name.empty() && services_.size() > 1;
    if (single && request.has("timeout")) {
      return fail(client, kClientRefused, "timeout is for all services together");
    }
    // However long the stop sequences would take.
    if (request.has("timeout")) {
      constexpr std::int64_t kMost = std::int64_t{24} * 3600 * 1000;
      kill_timer_.armIn(std::min(request.at("timeout").num(), kMost) * kMs);
    }
    if (single) {
      chosen.front()->stop(0);
    } else {
      stop(0);
    }
    succeed(client);
  } else if (command == "kill") {
    succeed(client);
    if (!name.empty() && services_.size() > 1) {
      chosen.front()->machine().killAll(now);
    } else {
      killAll();
    }
  } else if (command == "signal") {
    const JsonValue& v = request.at("sig");
    auto signal =
        parseSignal(v.kind() == JsonValue::Kind::kString ? v.str() : std::to_string(v.num()));
    if (!signal) return fail(client, kClientRefused, "unknown signal");
    int gen = static_cast<int>(request.at("gen").num());
    each([&](Service& s) { return s.forward(*signal, gen); }, "no such generation");
  } else if (command == "pause" || command == "resume") {
    each([&](Service& s) { return s.pause(command == "pause"); }, "no generation is active");
  } else if (command == "upgrade") {
    if (std::string why = upgrade(); !why.empty()) return fail(client, kClientRefused, why);
    upgrade_clients_.push_back(client);
  } else if (command == "metrics") {
    succeed(client, metricsText());
  } else if (command == "log") {
    Service* s = one();
    if (s) succeed(client, s->stderrOf(static_cast<int>(request.at("gen").num())));
  } else if (command == "env") {
    // Names only: values may be secrets.
    Service* s = one();
    if (s) succeed(client, s->environmentNames());
  } else if (command == "subscribe") {
    subscribers_.insert(client);
    succeed(client);
  } else {
    fail(client, kClientRefused, "unknown command '" + command + "'");
  }
}

}  // namespace godwit::supervise
