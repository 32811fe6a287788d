// The supervisor replaces itself: same pid, same children, same sockets. Signals stay blocked over
// the exec, so one that arrives meanwhile waits.
#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/log.h"
#include "base/os_error.h"
#include "supervise/exit_code.h"
#include "supervise/instance.h"
#include "supervise/places.h"
#include "supervise/socket_call.h"
#include "supervise/spawn.h"

extern char** environ;

namespace godwit::supervise {
namespace {

constexpr std::size_t kMaxState = 16 << 20;
constexpr std::int64_t kStateVersion = 1;

Result<UniqueFd> writeState(const std::string& text) {
  UniqueFd fd(::memfd_create("godwit-run-state", MFD_CLOEXEC));
  if (!fd) return osError("create a memory file");
  std::size_t done = 0;
  while (done < text.size()) {
    ssize_t n = ::write(fd.get(), text.data() + done, text.size() - done);
    if (n <= 0) return osError("write the state");
    done += static_cast<std::size_t>(n);
  }
  return fd;
}

Result<JsonValue> readState(int fd) {
  std::string text;
  char buffer[16384];
  if (::lseek(fd, 0, SEEK_SET) < 0) return osError("read the state");
  ssize_t n = 0;
  while ((n = ::read(fd, buffer, sizeof buffer)) > 0) {
    text.append(buffer, static_cast<std::size_t>(n));
    if (text.size() > kMaxState) return Error(ErrorCode::kLimit, "the state is larger than 16 MiB");
  }
  if (n < 0) return osError("read the state");
  auto v = parseJson(text);
  if (!v.ok()) return v;
  if (v->at("version").num() != kStateVersion) {
    return Error(ErrorCode::kInvalid, "a state of another version");
  }
  return v;
}

void closeOnExecAgain() {
  DIR* dir = ::opendir("/proc/self/fd");
  if (!dir) return;
  while (dirent* e = ::readdir(dir)) {
    if (auto n = parseInt(e->d_name, 3, 1 << 20)) {
      ::fcntl(static_cast<int>(*n), F_SETFD, FD_CLOEXEC);
    }
  }
  ::closedir(dir);
}

}  // namespace

std::string Instance::saveState() const {
  JsonWriter w;
  w.beginObject().field("version", kStateVersion).field("cwd", cwd_);
  w.field("executable", executable_).field("runtime_dir", runtime_dir_);
  w.field("name", settings_.instance.name).field("ready", manager_.isReady());
  w.field("store_note", manager_.noteFd());
  keepOverExec(manager_.noteFd());
  w.field("pidfile", pidfile_.fd()).field("pidfile_path", pidfile_.path());
  w.field("control_lock", control_lock_.fd()).field("control_lock_path", control_lock_.path());
  w.field("control", control_ ? control_->fd() : -1);
  w.field("control_path", control_ ? control_->path() : "");
  for (int fd : {pidfile_.fd(), control_lock_.fd(), control_ ? control_->fd() : -1}) {
    if (fd >= 0) ::fcntl(fd, F_SETFD, 0);
  }
  w.key("args").beginArray();
  for (const std::string& a : args_) w.string(a);
  w.endArray().key("services").beginArray();
  for (const auto& s : services_) s->save(w);
  w.endArray().endObject();
  return w.take();
}

std::string Instance::upgrade() {
  if (stopping_) return "stopping";
  if (upgrade_wanted_ || self_check_ != 0) return "an upgrade is under way";
  upgrade_wanted_ = true;
  return "";
}

// First the new binary reads the real state and says whether it understands it.
void Instance::checkNewBinary() {
  auto busy = [](const auto& s) {
    ServiceState state = s->machine().state();
    return s->ended() || state == ServiceState::kReloading || state == ServiceState::kBoot ||
           state == ServiceState::kStopping;
  };
  // A reload under way has clients that wait for it, and probes in flight: let it end first.
  if (std::any_of(services_.begin(), services_.end(), busy)) return;
  auto give_up = [this](const std::string& why) {
    upgrade_wanted_ = false;
    self_check_ = 0;
    log::error("upgrade refused", {{"why", why}});
    for (Control::ClientId c : std::exchange(upgrade_clients_, {})) fail(c, kClientFailed, why);
  };
  auto state = writeState(saveState());
  closeOnExecAgain();
  if (!state.ok()) return give_up(state.error().message);
  const std::string& wanted = settings_.instance.upgrade_to;
  std::string binary = wanted.empty() ? executable_ : wanted;
  SpawnPlan plan;
  plan.argv = {binary, "--self-check", "3"};
  plan.candidates = {binary};
  for (char** e = environ; *e; ++e) plan.env.emplace_back(*e);
  plan.extra_fds = {{state->get(), 3}};
  plan.death_signal = SIGKILL;
  auto spawned = spawnProcess(plan);
  if (!spawned.ok()) return give_up(spawned.error().message);
  self_check_ = spawned->pid;
  children_.watch(spawned->pid, [this, give_up](const ExitStatus& status) {
    self_check_ = 0;
    if (!upgrade_wanted_) return;
    if (!status.ok()) {
      return give_up("the new binary's self-check ended with " +
                     std::to_string(status.asExitCode()));
    }
    execute();
  });
}

void Instance::execute() {
  upgrade_wanted_ = false;
  for (auto& s : services_) s->flushOutput();
  for (Control::ClientId c : std::exchange(upgrade_clients_, {})) {
    succeed(c);
    if (control_) control_->finish(c);
  }
  auto state = writeState(saveState());
  std::string why;
  if (state.ok()) {
    int fd = state->get();
    ::fcntl(fd, F_SETFD, 0);
    const std::string& wanted = settings_.instance.upgrade_to;
    std::string binary = wanted.empty() ? executable_ : wanted;
    std::vector<char*> argv = {binary.data()};
    for (std::string& a : args_) argv.push_back(a.data());
    argv.push_back(nullptr);
    ::setenv("GODWIT_RUN_STATE", std::to_string(fd).c_str(), 1);  // NOLINT(concurrency-mt-unsafe)
    log::info("executing", {{"binary", binary}});
    ::execve(binary.c_str(), argv.data(), environ);
    why = errnoText(errno);
    ::unsetenv("GODWIT_RUN_STATE");  // NOLINT(concurrency-mt-unsafe)
  } else {
    why = state.error().message;
  }
  closeOnExecAgain();
  log::error("upgrade failed, going on as before", {{"why", why}});
}

Result<> Instance::resume(int fd) {
  UniqueFd owned(fd);
  auto state = readState(fd);
  if (!state.ok()) return std::move(state).error();
  out_ = std::make_unique<Sink>(loop_, 1);
  err_ = std::make_unique<Sink>(loop_, 2);
  const JsonValue& v = *state;
  cwd_ = v.at("cwd").str("/");
  executable_ = v.at("executable").str(executable_);
  runtime_dir_ = v.at("runtime_dir").str();
  makeAbsolute(settings_, cwd_);
  std::string old_name = settings_.instance.name;
  settings_.instance.name = v.at("name").str(old_name);
  if (settings_.services.size() == 1 && settings_.services.front().name == old_name) {
    settings_.services.front().name = settings_.instance.name;
  }
  if (v.at("ready").flag()) manager_.setReady();
  manager_.adoptNote(static_cast<int>(v.at("store_note").num(-1)));
  pidfile_.adopt(static_cast<int>(v.at("pidfile").num(-1)), v.at("pidfile_path").str());
  control_lock_.adopt(static_cast<int>(v.at("control_lock").num(-1)),
                      v.at("control_lock_path").str());
  shared_ = std::make_unique<Shared>(
      Shared{loop_, children_, *out_, *err_, inheritedEnvironment(), cwd_, runtime_dir_, {}});
  int control = static_cast<int>(v.at("control").num(-1));
  if (control >= 0) {
    control_ = std::make_unique<Control>(
        loop_, [this](Control::ClientId c, const JsonValue& request) { onRequest(c, request); },
        [this](Control::ClientId c) {
          subscribers_.erase(c);
          std::erase_if(waiters_, [c](const Waiter& w) { return w.client == c; });
        });
    GODWIT_TRY(control_->adopt(UniqueFd(control), v.at("control_path").str()));
  }
  for (const ServiceOptions& o : settings_.services) {
    services_.push_back(std::make_unique<Service>(*shared_, news(), o));
    const JsonValue* mine = nullptr;
    for (const JsonValue& s : v.at("services").items()) {
      if (s.at("name").str() == o.name) mine = &s;
    }
    GODWIT_TRY(mine ? services_.back()->restore(*mine) : services_.back()->open());
  }
  // Children may have died between the last look and the exec.
  children_.reap();
  for (auto& s : services_) s->childrenChanged();
  log::info("godwit-run goes on", {{"pid", static_cast<int>(::getpid())},
                                   {"name", settings_.instance.name},
                                   {"services", services_.size()}});
  return {};
}

int selfCheck(int fd) {
  auto state = readState(fd);
  if (!state.ok()) {
    log::error(state.error().message);
    return 1;
  }
  for (const JsonValue& s : state->at("services").items()) {
    class Nowhere final : public World {
      std::optional<Reason> spawn(int, int, Release) override { return Reason{"fork", ""}; }
      void signal(int, int, bool) override {}
      bool route(const Routing&) override { return false; }
      bool queueEmpty(int) override { return true; }
      Verdict soakVerdict(int) override { return Verdict::kBad; }
      bool startCheck(int) override { return false; }
      void cancelCheck() override {}
      double jitter() override { return 1; }
      void onPromoted(int, int) override {}
      void onFailed(int, const Reason&) override {}
      void onCrashed(int, const ExitStatus&) override {}
      void onState(int) override {}
      void onGood(int) override {}
      void onAttempt(const AttemptResult&) override {}
      void onRestartDelay(TimeNs) override {}
      void onEnded(int) override {}
    } nowhere;
    Machine machine(nowhere, {});
    if (auto r = machine.restore(s.at("machine")); !r.ok()) {
      log::error(r.error().message);
      return 1;
    }
    for (const JsonValue& r : s.at("running").items()) {
      if (!machine.find(static_cast<int>(r.at("gen").num())) || r.at("pid").num() <= 1) return 1;
    }
  }
  return 0;
}

}  // namespace godwit::supervise
