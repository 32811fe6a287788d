#include "supervise/config.h"

namespace godwit::supervise {
namespace {

class Printer {
 public:
  void line(std::string_view key, const std::string& value) {
    out_ += std::string(key) + (value.empty() ? "" : " ") + value + "\n";
  }
  template <class T, class F>
  void changed(std::string_view key, const T& value, const T& standard, F&& format) {
    if (value != standard) line(key, format(value));
  }
  void time(std::string_view key, TimeNs value, TimeNs standard) {
    changed(key, value, standard, formatDuration);
  }
  void text(std::string_view key, const std::string& value) {
    if (!value.empty()) line(key, value);
  }
  void count(std::string_view key, int value, int standard) {
    changed(key, value, standard, [](int n) { return std::to_string(n); });
  }
  void raw(std::string_view text) { out_ += text; }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

std::string quoted(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& w : words) {
    if (!out.empty()) out += ' ';
    if (!w.empty() && w.find_first_of(" \t'\"\\") == std::string::npos) {
      out += w;
      continue;
    }
    out += '"';
    for (char c : w) {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
    out += '"';
  }
  return out;
}

std::string readyText(const ReadySpec& r) {
  switch (r.kind) {
    case ReadySpec::Kind::kAuto:
      return "auto";
    case ReadySpec::Kind::kNotify:
      return "notify";
    case ReadySpec::Kind::kFd:
      return r.fd < 0 ? "fd" : "fd:" + std::to_string(r.fd);
    case ReadySpec::Kind::kProbe:
      return "probe:" + r.path;
    case ReadySpec::Kind::kProbeTcp:
      return "probe-tcp";
    case ReadySpec::Kind::kProbeTls:
      return "probe-tls:" + r.path;
    case ReadySpec::Kind::kTcp:
      return "tcp:" + r.address;
    case ReadySpec::Kind::kUnix:
      return "unix:" + r.address;
    case ReadySpec::Kind::kHttp:
      return "http:" + r.address + r.path;
    case ReadySpec::Kind::kExec:
      return "exec:" + r.command;
    case ReadySpec::Kind::kDelay:
      return "delay:" + formatDuration(r.delay);
  }
  return "";
}

std::string stopText(const std::vector<StopStage>& stages) {
  std::string out;
  for (const StopStage& s : stages) {
    if (!out.empty()) out += ',';
    out += signalName(s.signal);
    if (s.wait != kNever) out += "/" + formatDuration(s.wait);
  }
  return out;
}

void listenLine(Printer& p, const ListenSpec& l) {
  const ListenSpec d;
  std::string out = l.name + "=" + l.address();
  auto add = [&](const std::string& text) { out += "," + text; };
  if (l.backlog != d.backlog) add("backlog=" + std::to_string(l.backlog));
  if (l.mode != d.mode) {
    add("mode=" + formatMode(l.mode));
  }
  if (!l.user.empty()) add("user=" + l.user);
  if (!l.group.empty()) add("group=" + l.group);
  if (l.v6only) add("v6only");
  if (l.nodelay) add("nodelay");
  if (l.defer_s) add("defer=" + std::to_string(l.defer_s));
  if (l.fastopen) add("fastopen=" + std::to_string(l.fastopen));
  if (l.mark) add("mark=" + std::to_string(*l.mark));
  if (!l.iface.empty()) add("iface=" + l.iface);
  if (l.freebind) add("freebind");
  if (l.nonblock) add("nonblock");
  if (l.cutover) add(*l.cutover == Cutover::kSlots ? "cutover=slots" : "cutover=shared");
  p.line("listen", out);
}

void printService(Printer& p, const ServiceOptions& s) {
  const ServiceOptions d;
  const Policy& q = s.policy;
  const Policy& e = d.policy;
  for (const ListenSpec& l : s.listens) listenLine(p, l);
  for (const std::string& a : s.after) p.line("after", a);
  for (const std::string& c : s.compat) p.line("compat", c);
  if (!s.listen_pid) p.line("no-listen-pid", "");
  for (const ReadySpec& r : s.ready) p.line("ready", readyText(r));
  p.time("warmup", s.warmup, d.warmup);
  p.time("ready-timeout", q.ready_timeout, e.ready_timeout);
  if (q.soak == kNever) {
    p.line("soak", "manual");
  } else {
    p.time("soak", q.soak, e.soak);
  }
  p.count("canary", q.canary_percent, e.canary_percent);
  if (!s.liveness.path.empty()) {
    p.line("liveness", s.liveness.path + ",interval=" + formatDuration(s.liveness.interval) +
                           ",timeout=" + formatDuration(s.liveness.timeout) +
                           ",fail=" + std::to_string(s.liveness.fail));
  }
  p.time("watchdog", s.watchdog, d.watchdog);
  p.text("check", s.check);
  for (const Hook& h : s.hooks) p.line("on", h.event + "=" + h.command);
  p.time("linger", q.linger, e.linger);
  p.time("keep-old", q.keep_old, e.keep_old);
  p.time("min-interval", q.min_interval, e.min_interval);
  p.count("max-generations", q.max_generations, e.max_generations);
  if (q.on_limit != e.on_limit) {
    p.line("on-limit", q.on_limit == OnLimit::kWait ? "wait" : "refuse");
  }
  p.count("retry-failed", q.retry_failed, e.retry_failed);
  for (const std::string& w : s.watch) p.line("watch", w);
  if (s.max_rss) p.line("max-rss", std::to_string(s.max_rss));
  if (s.max_age) {
    p.line("max-age", formatDuration(s.max_age) +
                          (s.max_age_spread ? "+-" + std::to_string(s.max_age_spread) + "%" : ""));
  }
  if (q.restart != e.restart) p.line("restart", q.restart == Restart::kNo ? "no" : "always");
  p.time("stable", q.stable, e.stable);
  if (q.max_restarts) {
    p.line("max-restarts",
           std::to_string(q.max_restarts) + "/" + formatDuration(q.max_restarts_window));
  }
  p.time("rollback-window", q.rollback_window, e.rollback_window);
  if (!q.rollback) p.line("rollback", "off");
  p.time("kill-after-failed", q.kill_after_failed, e.kill_after_failed);
  p.changed("stop-seq", q.stop, e.stop, stopText);
  if (q.strict_stop) p.line("strict-stop", "");
  if (s.on_death != d.on_death) p.line("on-death", s.on_death == OnDeath::kKill ? "kill" : "leave");
  p.text("cwd", s.cwd);
  p.text("release-link", s.release_link);
  // Values may be secrets; the names are enough to see what is set.
  for (const auto& [name, value] : s.env)
    p.line("# env", name + "=(" + std::to_string(value.size()) + " bytes)");
  for (const std::string& f : s.env_files) p.line("env-file", f);
  for (const std::string& f : s.env_dirs) p.line("env-dir", f);
  p.text("user", s.user);
  p.text("group", s.group);
  for (const std::string& g : s.groups) p.line("groups", g);
  if (s.umask) p.line("umask", formatMode(*s.umask));
  if (s.nice) p.line("nice", std::to_string(*s.nice));
  for (const ResourceLimit& l : s.rlimits) p.line("rlimit", l.text);
  if (s.no_new_privs) p.line("no-new-privs", "");
  if (s.setsid) p.line("setsid", "");
  p.text("log", s.log);
  if (s.log_prefix) p.line("log-prefix", "");
  if (!s.capture_stderr) p.line("stderr", "inherit");
  p.text("child-pidfile", s.child_pidfile);
  p.line("command", quoted(s.command));
}

}  // namespace

std::string printSettings(const Settings& settings) {
  Printer p;
  const InstanceOptions& i = settings.instance;
  p.text("name", i.name);
  p.text("control", i.control);
  p.text("pidfile", i.pidfile);
  p.text("metrics-file", i.metrics_file);
  p.count("notify-fd", i.notify_fd, -1);
  if (i.log_json) p.line("log-format", "json");
  if (i.tty_hup_reloads) p.line("tty-hup", "reload");
  if (!i.fdstore) p.line("fdstore", "no");
  p.text("upgrade-to", i.upgrade_to);
  for (const std::string& m : i.signal_maps) p.line("map", m);
  bool sections = settings.services.size() > 1 || settings.services.front().name != i.name;
  for (const ServiceOptions& s : settings.services) {
    if (sections) p.raw("\n[service " + s.name + "]\n");
    printService(p, s);
  }
  return p.take();
}

}  // namespace godwit::supervise
