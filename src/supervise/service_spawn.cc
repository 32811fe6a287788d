// From a decision to start a generation to a running process.
#include <fcntl.h>
#include <grp.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "base/os_error.h"
#include "supervise/exit_code.h"
#include "supervise/service.h"
#include "supervise/words.h"

namespace godwit::supervise {

std::string Service::marker(int gen) const {
  return "GODWIT_RUN_MARK=" + std::to_string(::getpid()) + "." + name() + "." + std::to_string(gen);
}

bool Service::needsPrivateProbe() const {
  bool wanted = !options_.liveness.path.empty();
  for (const ReadySpec& r : options_.ready) wanted = wanted || r.isProbe();
  const Listener* l = probeListener();
  return wanted && l && l->kind() == Listener::Kind::kShared;
}

// Probes go to the first listener that accepts connections; one with slots is preferred, for it
// needs nothing of the child.
const Listener* Service::probeListener() const {
  const Listener* first = nullptr;
  for (const auto& l : listeners_) {
    if (!l->stream()) continue;
    if (l->kind() != Listener::Kind::kShared) return l.get();
    if (!first) first = l.get();
  }
  return first;
}

std::string Service::expand(const Running& r, std::string_view text) const {
  auto listener = [&](std::string_view key) -> std::pair<const Listener*, std::size_t> {
    for (std::size_t i = 0; i < listeners_.size(); ++i) {
      if (key.empty() || listeners_[i]->spec().name == key) return {listeners_[i].get(), i};
    }
    return {nullptr, 0};
  };
  return expandPlaceholders(
      text, [&](std::string_view key, std::string_view argument) -> std::optional<std::string> {
        if (key == "gen") return std::to_string(r.id);
        if (key == "release") return r.release->release;
        if (key == "fd" && argument == "notify") {
          return std::to_string(3 + listeners_.size() + (r.probe_listener ? 1 : 0));
        }
        if (key != "fd" && key != "port" && key != "path") return std::nullopt;
        auto [l, index] = listener(argument);
        if (!l) return std::nullopt;
        if (key == "fd") return std::to_string(3 + index);
        if (key == "port") return std::to_string(l->port());
        return l->path();
      });
}

std::vector<std::string> Service::helperEnvironment(const Running* r) const {
  Environment env = r ? r->release->env : shared_.inherited;
  env["GODWIT_RUN_SERVICE"] = name();
  if (r) {
    env["GENERATION"] = std::to_string(r->id);
    if (r->pid > 0) env["CHILD_PID"] = std::to_string(r->pid);
  }
  std::vector<std::string> out;
  for (const auto& [k, v] : env) out.push_back(k + "=" + v);
  return out;
}

Result<> Service::openProbeListener(Running& r, SpawnPlan& plan) {
  r.probe_path = shared_.runtime_dir + "/probe." + name() + "." + std::to_string(r.id);
  auto address = unixAddress(r.probe_path);
  if (!address.ok()) return std::move(address).error();
  r.probe_listener.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!r.probe_listener) return osError("create the probe socket");
  ::unlink(r.probe_path.c_str());
  if (::bind(r.probe_listener.get(), address->get(), address->length) != 0 ||
      ::listen(r.probe_listener.get(), 16) != 0) {
    return osError("listen on " + r.probe_path);
  }
  plan.listen_fds.push_back(r.probe_listener.get());
  return {};
}

Result<> Service::planSockets(Running& r, SpawnPlan& plan) {
  for (auto& l : listeners_) {
    auto fd = l->openSlot(r.slot, r.id);
    if (!fd.ok()) return std::move(fd).error();
    plan.listen_fds.push_back(*fd);
  }
  if (needsPrivateProbe()) GODWIT_TRY(openProbeListener(r, plan));
  return {};
}

void Service::planEnvironment(const Running& r, SpawnPlan& plan) {
  Environment env = r.release->env;
  std::size_t n = plan.listen_fds.size();
  auto compat = [&](std::string_view what) {
    return std::find(options_.compat.begin(), options_.compat.end(), what) != options_.compat.end();
  };
  if (n > 0) {
    std::string names;
    for (const auto& l : listeners_) names += (names.empty() ? "" : ":") + l->spec().name;
    if (r.probe_listener) names += ":godwit-probe";
    env["LISTEN_FDS"] = std::to_string(n);
    env["LISTEN_FDNAMES"] = names;
  }
  std::string starter;
  std::string nginx;
  for (std::size_t i = 0; i < listeners_.size(); ++i) {
    const ListenSpec& s = listeners_[i]->spec();
    bool path = s.kind == ListenKind::kUnix || s.kind == ListenKind::kAbstract;
    std::string where = path             ? s.path
                        : s.host.empty() ? std::to_string(listeners_[i]->port())
                                         : s.address();
    starter += (i ? ";" : "") + where + "=" + std::to_string(3 + i);
    nginx += std::to_string(3 + i) + ";";
    if (compat("einhorn")) env["EINHORN_FD_" + std::to_string(i)] = std::to_string(3 + i);
  }
  if (compat("server-starter")) {
    env["SERVER_STARTER_PORT"] = starter;
    env["SERVER_STARTER_GENERATION"] = std::to_string(r.id);
  }
  if (compat("einhorn")) env["EINHORN_FD_COUNT"] = std::to_string(listeners_.size());
  if (compat("nginx")) env["NGINX"] = nginx;
  if (r.readiness->wantsNotify() || options_.watchdog > 0) env["NOTIFY_SOCKET"] = notify_.path();
  if (options_.watchdog > 0) env["WATCHDOG_USEC"] = std::to_string(options_.watchdog / 1000);
  for (const auto& extra : plan.extra_fds) env["NOTIFY_FD"] = std::to_string(extra.second);
  env["GENERATION"] = std::to_string(r.id);
  std::string mark = marker(r.id);
  env["GODWIT_RUN_MARK"] = mark.substr(mark.find('=') + 1);
  for (const auto& [k, v] : env) plan.env.push_back(k + "=" + v);
  if (n > 0 && options_.listen_pid) {
    plan.env.emplace_back(kListenPidHole);
    if (pidfdsAreUnique()) plan.env.emplace_back(kListenPidfdHole);
    plan.fill_listen_pid = true;
  }
}

Result<> Service::planOutput(Running& r, SpawnPlan& plan, std::vector<UniqueFd>& ends) {
  bool through = log_ != nullptr || options_.log_prefix;
  auto pipe = [&](std::unique_ptr<OutputPipe>& p, Sink& sink, int& fd) -> Result<> {
    p = std::make_unique<OutputPipe>(shared_.loop, sink);
    auto end = p->open();
    if (!end.ok()) return std::move(end).error();
    fd = end->get();
    ends.push_back(std::move(*end));
    return {};
  };
  if (through) GODWIT_TRY(pipe(r.out, log_ ? *log_ : shared_.own_out, plan.stdout_fd));
  if (through || options_.capture_stderr) {
    GODWIT_TRY(pipe(r.err, log_ ? *log_ : shared_.own_err, plan.stderr_fd));
  }
  return {};
}

Result<> Service::planIdentity(const ReleaseSpec& release, SpawnPlan& plan) const {
  plan.umask = options_.umask;
  plan.nice = options_.nice;
  plan.rlimits = options_.rlimits;
  plan.no_new_privs = options_.no_new_privs;
  plan.setsid = options_.setsid;
  if (options_.on_death == OnDeath::kTerm) plan.death_signal = SIGTERM;
  if (options_.on_death == OnDeath::kKill) plan.death_signal = SIGKILL;
  plan.cwd = release.cwd;
  if (options_.user.empty() && options_.group.empty() && options_.groups.empty()) return {};
  Credentials c{::geteuid(), ::getegid(), {}};
  if (!options_.user.empty()) {
    auto u = findUser(options_.user);
    if (!u.ok()) return std::move(u).error();
    c.uid = u->uid;
    c.gid = u->gid;
    if (options_.groups.empty() && !u->name.empty()) {
      for (unsigned g : groupsOf(u->name)) c.groups.push_back(g);
    }
  }
  if (!options_.group.empty()) {
    auto g = findGroup(options_.group);
    if (!g.ok()) return std::move(g).error();
    c.gid = *g;
  }
  for (const std::string& n : options_.groups) {
    auto g = findGroup(n);
    if (!g.ok()) return std::move(g).error();
    c.groups.push_back(*g);
  }
  c.groups.push_back(c.gid);
  plan.credentials = c;
  return {};
}

std::optional<ProbeTarget> Service::targetOf(const Running& r, bool live) const {
  if (r.probe_listener) {
    auto a = unixAddress(r.probe_path);
    if (a.ok()) return ProbeTarget{*a, false, {}};
    return std::nullopt;
  }
  const Listener* l = probeListener();
  if (!l) return std::nullopt;
  return live ? l->liveTarget(r.slot) : l->probeTarget(r.slot);
}

Result<> Service::prepareReadiness(Running& r, SpawnPlan& plan, std::vector<UniqueFd>& ends) {
  Readiness::Setup setup;
  setup.conditions = options_.ready;
  setup.warmup = options_.warmup;
  setup.probe = targetOf(r, false);
  setup.helper_env = helperEnvironment(&r);
  setup.cwd = r.release->cwd;
  setup.gen = r.id;
  setup.name = name();
  setup.queue_empty = [this, gen = r.id] { return queueEmpty(gen); };
  int gen = r.id;
  Sink& sink = log_ ? *log_ : shared_.own_err;
  r.readiness = std::make_unique<Readiness>(shared_.loop, shared_.children, sink, std::move(setup),
                                            [this, gen] { onReady(gen); });
  GODWIT_TRY(r.readiness->openFds());
  std::vector<UniqueFd> writers = r.readiness->takeFdWriters();
  auto next = static_cast<int>(3 + plan.listen_fds.size());
  std::size_t k = 0;
  for (const ReadySpec& spec : options_.ready) {
    if (spec.kind != ReadySpec::Kind::kFd) continue;
    int theirs = spec.fd >= 0 ? spec.fd : next++;
    if (theirs < static_cast<int>(3 + plan.listen_fds.size())) {
      return Error(ErrorCode::kInvalid,
                   "--ready fd:" + std::to_string(theirs) + " is the number of a listening socket");
    }
    plan.extra_fds.emplace_back(writers[k].get(), theirs);
    ends.push_back(std::move(writers[k++]));
  }
  return {};
}

std::optional<Reason> Service::spawn(int gen, int slot, Release release) {
  dropRetired(slot);
  auto r = std::make_unique<Running>();
  r->id = gen;
  r->slot = slot;
  r->started = monotonicNow();
  if (release == Release::kLastGood && last_good_) {
    r->release = last_good_;
  } else {
    auto fresh = readRelease(options_, shared_.inherited, shared_.logical_cwd);
    if (!fresh.ok()) return Reason{"config", fresh.error().message};
    r->release = std::move(*fresh);
  }
  SpawnPlan plan;
  std::vector<UniqueFd> ends;  // the child's; ours to close after the fork
  auto planned = [&]() -> Result<> {
    GODWIT_TRY(planSockets(*r, plan));
    GODWIT_TRY(prepareReadiness(*r, plan, ends));
    planEnvironment(*r, plan);
    GODWIT_TRY(planOutput(*r, plan, ends));
    return planIdentity(*r->release, plan);
  }();
  if (!planned.ok()) return Reason{"config", planned.error().message};
  for (const std::string& word : r->release->command) plan.argv.push_back(expand(*r, word));
  auto path = r->release->env.find("PATH");
  plan.candidates =
      execCandidates(plan.argv.front(), path == r->release->env.end() ? "" : path->second);
  if (release == Release::kLastGood) {
    // The directory and the program as they were, whatever their names mean by now.
    plan.cwd_fd = r->release->cwd_fd.get();
    if (!r->release->executable.empty()) plan.candidates = {r->release->executable};
  }
  auto spawned = spawnProcess(plan);
  if (!spawned.ok()) return Reason{"fork", spawned.error().message};
  r->pid = spawned->pid;
  r->pidfd = std::move(spawned->pidfd);
  r->exec_result = std::move(spawned->exec_result);
  r->command = plan.argv.front();
  r->readiness->setChild(r->pid);
  if (options_.log_prefix) {
    std::string prefix = "[gen " + std::to_string(gen) + " pid " + std::to_string(r->pid) + "] ";
    if (r->out) r->out->setPrefix(prefix);
    if (r->err) r->err->setPrefix(prefix);
  }
  log::info("generation starting",
            {{"service", name()},
             {"gen", gen},
             {"pid", r->pid},
             {"slot", slot},
             {"release", release == Release::kLastGood ? "last good" : "current"}});
  Running& kept = *r;
  running_[gen] = std::move(r);
  watchProcess(kept);
  return std::nullopt;
}

void Service::watchProcess(Running& r) {
  int gen = r.id;
  shared_.children.watch(r.pid, [this, gen](const ExitStatus& s) { leaderExited(gen, s); });
  if (!r.exec_result) return;
  auto watched = shared_.loop.add(r.exec_result.get(), EPOLLIN,
                                  [this, gen](std::uint32_t) { onExecResult(gen); });
  if (!watched.ok()) onExecResult(gen);
}

// End of file: the pipe was closed by a successful exec.
void Service::onExecResult(int gen) {
  Running* r = find(gen);
  if (!r || !r->exec_result) return;
  ExecFailure f;
  ssize_t n = ::read(r->exec_result.get(), &f, sizeof f);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  shared_.loop.remove(r->exec_result.get());
  r->exec_result.reset();
  r->exec_done = true;
  if (n == 0) {
    if (r->readiness) r->readiness->running();
    return;
  }
  Reason why{"exec", describe(f, r->command)};
  int code = f.error == ENOENT ? kExitNotFound : kExitNotExecutable;
  machine_.startFailed(gen, why, code, monotonicNow());
}

}  // namespace godwit::supervise
