#include "supervise/option_table.h"

#include "supervise/option_values.h"

namespace godwit::supervise {
namespace {

using namespace option_value;  // NOLINT(google-build-using-namespace): the table is all of them
using T = OptionTarget;
using V = std::string_view;

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
      {"watchdog", 0, "SEC", false, kHealth,
       "replace the active generation when it has not said WATCHDOG=1 for this long", "off",
       [](T& t, V v) { return duration(t.service.watchdog, v); }},
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

}  // namespace godwit::supervise
