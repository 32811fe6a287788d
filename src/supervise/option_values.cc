#include "supervise/option_values.h"

#include <sys/resource.h>

#include <algorithm>

namespace godwit::supervise::option_value {

Why duration(TimeNs& out, V v, bool finite) {
  auto d = parseDuration(v);
  if (!d || (finite && *d == kNever)) return "expected a time such as 1.5, 200ms, 30s or 5m";
  out = *d;
  return std::nullopt;
}

Why text(std::string& out, V v) {
  if (v.empty()) return "must not be empty";
  out = v;
  return std::nullopt;
}

Why flag(bool& out, V v) {
  auto on = parseSwitch(v);
  if (!on) return "expected yes or no";
  out = *on;
  return std::nullopt;
}

Why splitInto(std::vector<std::string>& out, V v) {
  while (!v.empty()) {
    std::size_t comma = v.find(',');
    if (comma != 0) out.emplace_back(v.substr(0, comma));
    v = comma == V::npos ? "" : v.substr(comma + 1);
  }
  return out.empty() ? Why("must not be empty") : std::nullopt;
}

Why setWarmup(T& t, V v) { return duration(t.service.warmup, v); }

Why setKill(T& t, V v) {
  bool on = false;
  if (auto why = flag(on, v)) return why;
  if (!on) return std::nullopt;
  t.service.on_death = OnDeath::kKill;
  t.instance.kill_on_term = true;
  t.warnings.emplace_back(
      "-k ends the command with SIGKILL when told to stop: requests under way fail (hint: leave -k "
      "out)");
  return std::nullopt;
}

Why setSoak(T& t, V v) {
  t.service.soak_given = true;
  if (v == "manual") {
    t.service.policy.soak = kNever;
    return std::nullopt;
  }
  return duration(t.service.policy.soak, v);
}

Why setKillAfter(T& t, V v) {
  TimeNs d = 0;
  if (auto why = duration(d, v)) return why;
  auto& stop = t.service.policy.stop;
  if (stop.size() >= 2) stop[stop.size() - 2].wait = d;
  return std::nullopt;
}

Why setStopSignal(T& t, V v) {
  auto n = parseSignal(v);
  if (!n) return "unknown signal";
  auto& stop = t.service.policy.stop;
  if (*n == SIGKILL) {
    stop = {{SIGKILL, kNever}};
  } else if (stop.size() >= 2) {
    stop[0].signal = *n;
  }
  return std::nullopt;
}

Why setStopSequence(T& t, V v) {
  auto r = parseStopSequence(v);
  if (!r.ok()) return r.error().message;
  t.service.policy.stop = *r;
  t.service.stop_given = true;
  return std::nullopt;
}

Why setLiveness(T& t, V v) {
  auto r = parseLivenessSpec(v);
  if (!r.ok()) return r.error().message;
  t.service.liveness = *r;
  return std::nullopt;
}

Why setHook(T& t, V v) {
  std::size_t eq = v.find('=');
  V event = v.substr(0, eq);
  if (eq == V::npos || eq + 1 == v.size()) return "expected EVENT=COMMAND";
  if (event != "promote" && event != "fail" && event != "exit") {
    return "the events are promote, fail and exit";
  }
  t.service.hooks.push_back({std::string(event), std::string(v.substr(eq + 1))});
  return std::nullopt;
}

Why setEnv(T& t, V v) {
  std::size_t eq = v.find('=');
  if (eq == V::npos || eq == 0) return "expected NAME=VALUE";
  t.service.env.emplace_back(v.substr(0, eq), v.substr(eq + 1));
  return std::nullopt;
}

Why setRollback(T& t, V v) {
  if (v == "off") {
    t.service.policy.rollback = false;
    return std::nullopt;
  }
  return "expected off";
}

Why setMaxRestarts(T& t, V v) {
  std::size_t slash = v.find('/');
  if (auto why = integer(t.service.policy.max_restarts, v.substr(0, slash), 0, 60)) return why;
  if (slash == V::npos) return std::nullopt;
  return duration(t.service.policy.max_restarts_window, v.substr(slash + 1));
}

Why setUmask(T& t, V v) {
  auto m = parseMode(v);
  if (!m) return "expected an octal number up to 0777";
  t.service.umask = m;
  return std::nullopt;
}

Why setNice(T& t, V v) {
  int n = 0;
  if (auto why = integer(n, v, -20, 19)) return why;
  t.service.nice = n;
  return std::nullopt;
}

Why setRlimit(T& t, V v) {
  static constexpr Choice<int> kNames[] = {
      {"core", RLIMIT_CORE},
      {"cpu", RLIMIT_CPU},
      {"data", RLIMIT_DATA},
      {"fsize", RLIMIT_FSIZE},
      {"memlock", RLIMIT_MEMLOCK},
      {"nofile", RLIMIT_NOFILE},
      {"nproc", RLIMIT_NPROC},
      {"stack", RLIMIT_STACK},
      {"as", RLIMIT_AS},
      {"rtprio", RLIMIT_RTPRIO},
      {"sigpending", RLIMIT_SIGPENDING},
  };
  ResourceLimit limit;
  std::size_t eq = v.find('=');
  if (eq == V::npos) return "expected NAME=SOFT[:HARD]";
  if (auto why = choose(limit.resource, v.substr(0, eq), kNames)) return why;
  V value = v.substr(eq + 1);
  std::size_t colon = value.find(':');
  auto read = [](V s, std::uint64_t& out) {
    if (s == "unlimited") {
      out = RLIM_INFINITY;
      return true;
    }
    auto n = parseSize(s);
    if (n) out = *n;
    return n.has_value();
  };
  if (!read(value.substr(0, colon), limit.soft)) return "bad limit";
  limit.hard = limit.soft;
  if (colon != V::npos && !read(value.substr(colon + 1), limit.hard)) return "bad hard limit";
  if (limit.soft > limit.hard) return "the soft limit is above the hard one";
  limit.text = v;
  t.service.rlimits.push_back(std::move(limit));
  return std::nullopt;
}

Why setMaxRss(T& t, V v) {
  auto n = parseSize(v);
  if (!n || *n == 0) return "expected a size such as 512M";
  t.service.max_rss = *n;
  return std::nullopt;
}

// "24h", "24h±10%", "24h+-10%"
Why setMaxAge(T& t, V v) {
  std::size_t mark = v.find("±");
  std::size_t width = std::string_view("±").size();
  if (mark == V::npos) {
    mark = v.find("+-");
    width = 2;
  }
  if (auto why = duration(t.service.max_age, v.substr(0, mark))) return why;
  if (t.service.max_age == 0) return "must be above 0";
  if (mark == V::npos) return std::nullopt;
  V spread = v.substr(mark + width);
  if (spread.empty() || spread.back() != '%') return "expected a percentage after the sign";
  return integer(t.service.max_age_spread, spread.substr(0, spread.size() - 1), 0, 90);
}

Why setCompat(T& t, V v) {
  static constexpr V kKnown[] = {"server-starter", "einhorn", "nginx"};
  std::vector<std::string> names;
  if (auto why = splitInto(names, v)) return why;
  for (const std::string& n : names) {
    if (std::find(std::begin(kKnown), std::end(kKnown), n) == std::end(kKnown)) {
      return "expected server-starter, einhorn or nginx";
    }
    t.service.compat.push_back(n);
  }
  return std::nullopt;
}

Why setMap(T& t, V v) {
  auto r = t.instance.signals.apply(v);
  if (!r.ok()) {
    // The map names its option itself.
    std::string m = r.error().message;
    return m.substr(m.find(": ") + 2);
  }
  t.instance.signal_maps.emplace_back(v);
  return std::nullopt;
}

Why setCutover(T& t, V v) {
  static constexpr Choice<Cutover> kChoices[] = {{"slots", Cutover::kSlots},
                                                 {"shared", Cutover::kShared}};
  Cutover c = Cutover::kSlots;
  if (auto why = choose(c, v, kChoices)) return why;
  t.service.cutover = c;
  return std::nullopt;
}

}  // namespace godwit::supervise::option_value
