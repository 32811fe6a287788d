#include "supervise/option_table.h"

#include <sys/resource.h>

#include <algorithm>

namespace godwit::supervise {
namespace {

using T = OptionTarget;
using V = std::string_view;
using Why = std::optional<std::string>;

Why duration(TimeNs& out, V v, bool finite = true) {
  auto d = parseDuration(v);
  if (!d || (finite && *d == kNever)) return "expected a time such as 1.5, 200ms, 30s or 5m";
  out = *d;
  return std::nullopt;
}

template <class I>
Why integer(I& out, V v, std::int64_t low, std::int64_t high) {
  auto n = parseInt(v, low, high);
  if (!n) return "expected a number from " + std::to_string(low) + " to " + std::to_string(high);
  out = static_cast<I>(*n);
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

template <class E>
struct Choice {
  V name;
  E value;
};
template <class E, std::size_t N>
Why choose(E& out, V v, const Choice<E> (&choices)[N]) {
  std::string names;
  for (const auto& c : choices) {
    if (c.name == v) {
      out = c.value;
      return std::nullopt;
    }
    names += (names.empty() ? "" : ", ") + std::string(c.name);
  }
  return "expected one of " + names;
}

template <class R>
Why append(std::vector<R>& out, Result<R> r) {
  if (!r.ok()) return std::move(r).error().message;
  out.push_back(std::move(r).value());
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
  t.service.rlimits.push_back(limit);
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

constexpr Choice<OnLimit> kOnLimits[] = {
    {"kill-oldest", OnLimit::kKillOldest}, {"wait", OnLimit::kWait}, {"refuse", OnLimit::kRefuse}};
constexpr Choice<Restart> kRestarts[] = {
    {"on-failure", Restart::kOnFailure}, {"always", Restart::kAlways}, {"no", Restart::kNo}};
constexpr Choice<OnDeath> kOnDeaths[] = {
    {"term", OnDeath::kTerm}, {"kill", OnDeath::kKill}, {"leave", OnDeath::kLeave}};
constexpr Choice<bool> kFormats[] = {{"text", false}, {"json", true}};
constexpr Choice<bool> kStderrs[] = {{"capture", true}, {"inherit", false}};
constexpr Choice<bool> kTtyHups[] = {{"stop", false}, {"reload", true}};

constexpr V kSockets = "Sockets";
constexpr V kHealth = "Readiness and health";
constexpr V kReload = "Reload";
constexpr V kFailure = "Failure";
constexpr V kStop = "Stop";
constexpr V kChild = "The command's surroundings";
constexpr V kOutput = "Output and control";
constexpr V kGeneral = "General";

std::vector<OptionInfo> makeTable() {
  return {
      {"config", 'c', "FILE", true, kGeneral,
       "options, one per line; [service NAME] begins a service", "",
       [](T& t, V v) { return text(t.instance.config, v); }},
      {"name", 0, "NAME", true, kGeneral, "what this instance is called", "from the command",
       [](T& t, V v) { return text(t.instance.name, v); }},
      {"verbose", 'v', "", true, kGeneral, "say more; may be repeated", "",
       [](T& t, V) -> Why {
         ++t.instance.verbose;
         return std::nullopt;
       }},
      {"after", 0, "NAME[,...]", false, kGeneral,
       "start when these services are ready, stop before them", "",
       [](T& t, V v) { return splitInto(t.service.after, v); }},

      {"listen", 'l', "[NAME=]SPEC[,OPTION...]", false, kSockets,
       "own this socket and hand it to the command: HOST:PORT, :PORT, [V6]:PORT, udp:HOST:PORT, "
       "unix:PATH, unix:@NAME, fd:N, fd:NAME",
       "",
       [](T& t, V v) {
         return append(t.service.listens, parseListenSpec(v, t.service.listens.size()));
       }},
      {"cutover", 0, "slots|shared", false, kSockets,
       "a socket for each generation, or one for all", "slots", setCutover},
      {"compat", 0, "NAME[,...]", false, kSockets,
       "also describe the sockets as server-starter, einhorn or nginx would", "", setCompat},
      {"no-listen-pid", 0, "", false, kSockets,
       "leave LISTEN_PID out, for commands that start through a wrapper", "",
       [](T& t, V v) {
         bool off = true;
         auto why = flag(off, v);
         t.service.listen_pid = !off;
         return why;
       }},

      {"ready", 'r', "CONDITION", false, kHealth,
       "all given must hold: auto, notify, fd[:N], probe:/PATH, probe-tcp, probe-tls, tcp:ADDR, "
       "unix:PATH, http:ADDR/PATH, exec:CMD, delay:SEC",
       "auto", [](T& t, V v) { return append(t.service.ready, parseReadySpec(v)); }},
      {"warmup", 'w', "SEC", false, kHealth, "with auto: ready after surviving this long", "1s",
       setWarmup},
      {"ready-timeout", 0, "SEC", false, kHealth, "give a generation up that is not ready by then",
       "30s", [](T& t, V v) { return duration(t.service.policy.ready_timeout, v); }},
      {"soak", 0, "SEC|manual", false, kHealth,
       "watch a ready generation this long before it gets traffic",
       "0, or 1s when only a delay shows readiness", setSoak},
      {"canary", 0, "PERCENT", false, kHealth,
       "share of new connections a soaking generation gets (slots)", "0",
       [](T& t, V v) { return integer(t.service.policy.canary_percent, v, 0, 100); }},
      {"liveness", 0, "/PATH[,interval=,timeout=,fail=]", false, kHealth,
       "probe the active generation; replace it when it fails", "off; 5s, 2s, 3", setLiveness},
      {"check", 0, "CMD", false, kHealth, "must succeed before a generation is started", "",
       [](T& t, V v) { return text(t.service.check, v); }},
      {"on", 0, "promote|fail|exit=CMD", false, kHealth,
       "run this when it happens, for at most 30 s", "", setHook},

      {"linger", 0, "SEC", false, kReload,
       "how long a replaced generation still accepts what was on its way; above the clients' "
       "round-trip time",
       "1s", [](T& t, V v) { return duration(t.service.policy.linger, v); }},
      {"keep-old", 0, "SEC", false, kReload, "keep the replaced generation for a rollback", "0",
       [](T& t, V v) { return duration(t.service.policy.keep_old, v); }},
      {"min-interval", 0, "SEC", false, kReload, "least time between two starts by reload", "0",
       [](T& t, V v) { return duration(t.service.policy.min_interval, v); }},
      {"max-generations", 0, "N", false, kReload, "generations that may run at once", "3",
       [](T& t, V v) {
         return integer(t.service.policy.max_generations, v, 2,
                        static_cast<std::int64_t>(kMaxGenerations));
       }},
      {"on-limit", 0, "kill-oldest|wait|refuse", false, kReload, "what a reload does at that limit",
       "kill-oldest", [](T& t, V v) { return choose(t.service.policy.on_limit, v, kOnLimits); }},
      {"retry-failed", 0, "N", false, kReload, "start a failed reload again, with back-off", "0",
       [](T& t, V v) { return integer(t.service.policy.retry_failed, v, 0, 1000); }},
      {"watch", 0, "PATH", false, kReload, "reload when this file or symbolic link changes", "",
       [](T& t, V v) -> Why {
         t.service.watch.emplace_back(v);
         return v.empty() ? Why("must not be empty") : std::nullopt;
       }},
      {"max-rss", 0, "SIZE", false, kReload, "reload when the processes use more memory", "off",
       setMaxRss},
      {"max-age", 0, "TIME[+-PERCENT%]", false, kReload, "reload when this old", "off", setMaxAge},

      {"restart", 0, "on-failure|always|no", false, kFailure, "when the active generation dies",
       "on-failure", [](T& t, V v) { return choose(t.service.policy.restart, v, kRestarts); }},
      {"stable", 0, "SEC", false, kFailure, "active this long, the restart delay begins anew",
       "60s", [](T& t, V v) { return duration(t.service.policy.stable, v); }},
      {"max-restarts", 0, "N[/SEC]", false, kFailure, "more restarts than that: exit 69",
       "no limit, /60s", setMaxRestarts},
      {"rollback-window", 0, "SEC", false, kFailure,
       "a generation that dies this soon is replaced by what served before", "60s",
       [](T& t, V v) { return duration(t.service.policy.rollback_window, v); }},
      {"rollback", 0, "off", false, kFailure, "always restart what is there now", "", setRollback},

      {"kill-after", 0, "SEC", false, kStop, "patience before SIGKILL", "30s", setKillAfter},
      {"kill-after-failed", 0, "SEC", false, kStop, "the same for a generation that never served",
       "5s", [](T& t, V v) { return duration(t.service.policy.kill_after_failed, v); }},
      {"stop-signal", 0, "SIG", false, kStop, "asks the command to end", "TERM", setStopSignal},
      {"stop-seq", 0, "SIG/SEC,...", false, kStop, "the whole sequence", "TERM/30s,KILL",
       setStopSequence},
      {"strict-stop", 0, "", false, kStop, "exit 124 if SIGKILL was needed", "",
       [](T& t, V v) { return flag(t.service.policy.strict_stop, v); }},
      {"on-death", 0, "term|kill|leave", false, kStop,
       "what happens to the command when the supervisor is killed", "term",
       [](T& t, V v) { return choose(t.service.on_death, v, kOnDeaths); }},
      {"kill", 'k', "", false, kStop, "as in hupwatch: SIGKILL instead of TERM, and on death", "",
       setKill},

      {"cwd", 0, "PATH", false, kChild, "start there; symbolic links are followed at each start",
       "$PWD", [](T& t, V v) { return text(t.service.cwd, v); }},
      {"release-link", 0, "PATH", false, kChild,
       "a link resolved at each start: {release} and $RELEASE", "",
       [](T& t, V v) { return text(t.service.release_link, v); }},
      {"env", 'e', "NAME=VALUE", false, kChild, "add to the environment", "", setEnv},
      {"env-file", 0, "FILE", false, kChild, "NAME=VALUE lines, read at each start", "",
       [](T& t, V v) -> Why {
         t.service.env_files.emplace_back(v);
         return std::nullopt;
       }},
      {"env-dir", 0, "DIR", false, kChild, "one file for each variable, read at each start", "",
       [](T& t, V v) -> Why {
         t.service.env_dirs.emplace_back(v);
         return std::nullopt;
       }},
      {"user", 'u', "NAME", false, kChild, "run the command as", "",
       [](T& t, V v) { return text(t.service.user, v); }},
      {"group", 'g', "NAME", false, kChild, "run the command in this group", "the user's",
       [](T& t, V v) { return text(t.service.group, v); }},
      {"groups", 0, "NAME,...", false, kChild, "supplementary groups", "the user's",
       [](T& t, V v) { return splitInto(t.service.groups, v); }},
      {"umask", 0, "MODE", false, kChild, "file mode mask", "inherited", setUmask},
      {"nice", 0, "N", false, kChild, "scheduling priority", "inherited", setNice},
      {"rlimit", 0, "NAME=SOFT[:HARD]", false, kChild, "resource limit", "inherited", setRlimit},
      {"no-new-privs", 0, "", false, kChild, "no setuid programs from here on", "",
       [](T& t, V v) { return flag(t.service.no_new_privs, v); }},
      {"setsid", 0, "", false, kChild, "a session of its own, not only a process group", "",
       [](T& t, V v) { return flag(t.service.setsid, v); }},

      {"log", 0, "FILE", false, kOutput, "append the command's output here; reopened on USR1",
       "inherited", [](T& t, V v) { return text(t.service.log, v); }},
      {"log-prefix", 0, "", false, kOutput, "begin each line with generation and pid", "",
       [](T& t, V v) { return flag(t.service.log_prefix, v); }},
      {"stderr", 0, "capture|inherit", false, kOutput,
       "read the command's stderr to report failures, and pass it on", "capture",
       [](T& t, V v) { return choose(t.service.capture_stderr, v, kStderrs); }},
      {"child-pidfile", 0, "FILE", false, kOutput, "pid of the active generation", "",
       [](T& t, V v) { return text(t.service.child_pidfile, v); }},
      {"pidfile", 'p', "FILE", true, kOutput, "pid of the supervisor; also a lock", "",
       [](T& t, V v) { return text(t.instance.pidfile, v); }},
      {"control", 0, "PATH|none", true, kOutput, "control socket", "from the name",
       [](T& t, V v) { return text(t.instance.control, v); }},
      {"metrics-file", 0, "FILE", true, kOutput, "Prometheus text, written at each change", "",
       [](T& t, V v) { return text(t.instance.metrics_file, v); }},
      {"log-format", 0, "text|json", true, kOutput, "of the supervisor's own lines", "text",
       [](T& t, V v) { return choose(t.instance.log_json, v, kFormats); }},
      {"map", 0, "SIG=ACTION[,...]", true, kOutput,
       "what a signal does: reload, stop[:SIG], kill, forward[:SIG], forward-all[:SIG], reopen, "
       "upgrade, rollback, dump, pause, resume, ignore",
       "", setMap},
      {"tty-hup", 0, "stop|reload", true, kOutput, "when the terminal is closed", "stop",
       [](T& t, V v) { return choose(t.instance.tty_hup_reloads, v, kTtyHups); }},
      {"notify-fd", 0, "N", true, kOutput, "write a newline there when ready, as s6 wants", "",
       [](T& t, V v) { return integer(t.instance.notify_fd, v, 3, 1000); }},
      {"fdstore", 0, "yes|no", true, kOutput, "under systemd: keep the sockets over a crash", "yes",
       [](T& t, V v) { return flag(t.instance.fdstore, v); }},
      {"upgrade-to", 0, "FILE", true, kOutput, "the binary an upgrade executes", "the one running",
       [](T& t, V v) { return text(t.instance.upgrade_to, v); }},
  };
}

void appendWrapped(std::string& out, V words, std::size_t indent) {
  std::size_t column = indent;
  bool first = true;
  while (!words.empty()) {
    std::size_t space = words.find(' ');
    V word = words.substr(0, space);
    words = space == V::npos ? "" : words.substr(space + 1);
    if (!first && column + 1 + word.size() > 96) {
      out += "\n" + std::string(indent, ' ');
      column = indent;
    } else if (!first) {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
    first = false;
  }
  out += '\n';
}

std::string signature(const OptionInfo& o) {
  std::string out = o.letter ? "-" + std::string(1, o.letter) + ", " : "    ";
  out += "--" + std::string(o.name);
  if (!o.argument.empty()) out += " " + std::string(o.argument);
  return out;
}

}  // namespace

const std::vector<OptionInfo>& optionTable() {
  static const std::vector<OptionInfo> table = makeTable();
  return table;
}

const OptionInfo* findOption(std::string_view name) {
  for (const OptionInfo& o : optionTable()) {
    if (o.name == name) return &o;
  }
  return nullptr;
}

const OptionInfo* findOption(char letter) {
  for (const OptionInfo& o : optionTable()) {
    if (letter != 0 && o.letter == letter) return &o;
  }
  return nullptr;
}

std::string renderHelp() {
  std::string out =
      "usage: godwit-run [options] -- command [argument...]\n"
      "       godwit-run --config FILE\n"
      "       godwit-run VERB [--name NAME | --control PATH] [...]\n\n"
      "Runs a command and replaces it without a failed request: kill -HUP, or `godwit-run "
      "reload`.\n"
      "Verbs: status reload rollback promote canary stop kill signal pause resume upgrade metrics\n"
      "       log subscribe (`godwit-run VERB --help`)\n";
  V group;
  for (const OptionInfo& o : optionTable()) {
    if (o.group != group) {
      group = o.group;
      out += "\n" + std::string(group) + "\n";
    }
    std::string left = "  " + signature(o);
    if (left.size() < 34) {
      left.append(34 - left.size(), ' ');
      out += left;
    } else {
      out += left + "\n" + std::string(34, ' ');
    }
    std::string help(o.help);
    if (!o.standard.empty()) help += " [" + std::string(o.standard) + "]";
    appendWrapped(out, help, 34);
  }
  out +=
      "\nOther modes\n"
      "      --check (without CMD)       say whether the options are good, start nothing\n"
      "      --print-config              the same, and print them all\n"
      "      --print-state-table, --print-options, --help, --version\n";
  return out;
}

std::string renderOptionsMarkdown() {
  std::string out;
  V group;
  for (const OptionInfo& o : optionTable()) {
    if (o.group != group) {
      group = o.group;
      out += (out.empty() ? "" : "\n") + std::string("**") + std::string(group) +
             "**\n\n| option | meaning | default |\n|---|---|---|\n";
    }
    std::string help(o.help);
    std::string left = "`--" + std::string(o.name);
    if (!o.argument.empty()) left += " " + std::string(o.argument);
    left += "`";
    if (o.letter) left += " `-" + std::string(1, o.letter) + "`";
    for (std::size_t at = 0; (at = left.find('|', at)) != std::string::npos; at += 2) {
      left.insert(at, "\\");
    }
    out += "| " + left + " | " + help + " | " + std::string(o.standard) + " |\n";
  }
  return out;
}

}  // namespace godwit::supervise
