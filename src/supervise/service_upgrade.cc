// A service across a re-exec of the supervisor.
#include <fcntl.h>

#include <algorithm>

#include "supervise/service.h"

namespace godwit::supervise {
namespace {

void keep(const UniqueFd& fd) {
  if (fd) ::fcntl(fd.get(), F_SETFD, 0);
}

UniqueFd adopt(const JsonValue& v) {
  int fd = static_cast<int>(v.num(-1));
  if (fd >= 0) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  return UniqueFd(fd);
}

void saveRelease(JsonWriter& out, const std::shared_ptr<const ReleaseSpec>& r) {
  out.beginObject();
  if (r) {
    out.field("cwd", r->cwd).field("cwd_fd", r->cwd_fd.get()).field("release", r->release);
    out.field("executable", r->executable).key("command").beginArray();
    for (const std::string& w : r->command) out.string(w);
    out.endArray().key("env").beginObject();
    for (const auto& [k, v] : r->env) out.field(k, v);
    out.endObject();
    keep(r->cwd_fd);
  }
  out.endObject();
}

std::shared_ptr<ReleaseSpec> loadRelease(const JsonValue& v) {
  if (!v.has("cwd")) return nullptr;
  auto out = std::make_shared<ReleaseSpec>();
  out->cwd = v.at("cwd").str();
  // A descriptor may be shared by two specs; each needs one of its own.
  int fd = static_cast<int>(v.at("cwd_fd").num(-1));
  if (fd >= 0) out->cwd_fd.reset(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
  out->release = v.at("release").str();
  out->executable = v.at("executable").str();
  for (const JsonValue& w : v.at("command").items()) out->command.push_back(w.str());
  for (const auto& [k, w] : v.at("env").members()) out->env[k] = w.str();
  return out;
}

}  // namespace

void Service::save(JsonWriter& out) const {
  out.beginObject().field("name", name()).field("notify", notify_.fd());
  out.field("notify_path", notify_.path()).field("was_ready", was_ready_);
  if (notify_.fd() >= 0) ::fcntl(notify_.fd(), F_SETFD, 0);
  out.field("active_since", active_since_).field("reloads_ok", metrics_.reloads_ok);
  out.field("kills", metrics_.kills).field("leftover", metrics_.leftover_resets);
  out.field("rollbacks", metrics_.rollbacks).key("reload_seconds");
  metrics_.reload_seconds.save(out);
  out.key("ready_seconds");
  metrics_.ready_seconds.save(out);
  out.key("drain_seconds");
  metrics_.drain_seconds.save(out);
  out.key("reloads_failed").beginObject();
  for (const auto& [k, n] : metrics_.reloads_failed) out.field(k, n);
  out.endObject().key("exits").beginObject();
  for (const auto& [k, n] : metrics_.exits) out.field(k, n);
  out.endObject().field("mark_pid", static_cast<int>(::getpid()));
  out.key("machine");
  machine_.save(out);
  out.key("listeners").beginArray();
  for (const auto& l : listeners_) l->save(out);
  out.endArray().key("last_good");
  saveRelease(out, last_good_);
  out.key("running").beginArray();
  for (const auto& [id, r] : running_) {
    out.beginObject().field("gen", id).field("slot", r->slot).field("pid", r->pid);
    out.field("pidfd", r->pidfd.get()).field("exec", r->exec_result.get());
    out.field("exec_done", r->exec_done).field("leader_gone", r->leader_gone);
    out.field("paused", r->paused).field("started", r->started).field("command", r->command);
    out.field("status", r->status).field("probe", r->probe_listener.get());
    out.field("probe_path", r->probe_path);
    out.field("out", r->out ? r->out->fd() : -1).field("err", r->err ? r->err->fd() : -1);
    out.field("err_tail", r->err ? r->err->tail() : "").key("release");
    saveRelease(out, r->release);
    out.endObject();
    keep(r->pidfd);
    keep(r->exec_result);
    keep(r->probe_listener);
    if (r->out && r->out->fd() >= 0) ::fcntl(r->out->fd(), F_SETFD, 0);
    if (r->err && r->err->fd() >= 0) ::fcntl(r->err->fd(), F_SETFD, 0);
  }
  out.endArray().endObject();
}

Result<> Service::restore(const JsonValue& in) {
  const auto& saved = in.at("listeners").items();
  for (const ListenSpec& spec : options_.listens) {
    const JsonValue* mine = nullptr;
    for (const JsonValue& v : saved) {
      if (v.at("name").str() == spec.name) mine = &v;
    }
    auto l = mine ? Listener::restore(spec, *mine)
                  : Listener::create(spec, options_.policy.slots, shared_.inherited_fds, name());
    if (!l.ok()) return std::move(l).error();
    listeners_.push_back(std::move(*l));
  }
  fitSlots();
  GODWIT_TRY(machine_.restore(in.at("machine")));
  GODWIT_TRY(notify_.adopt(adopt(in.at("notify")), in.at("notify_path").str()));
  if (!options_.log.empty()) {
    log_ = std::make_unique<Sink>(shared_.loop, options_.log);
    GODWIT_TRY(log_->reopen());
  }
  if (!options_.watch.empty()) {
    watch_ = std::make_unique<PathWatch>(shared_.loop, [this] { recycle("watch"); });
    GODWIT_TRY(watch_->open(options_.watch, shared_.logical_cwd));
  }
  was_ready_ = in.at("was_ready").flag();
  active_since_ = in.at("active_since").num();
  metrics_.reloads_ok = static_cast<std::uint64_t>(in.at("reloads_ok").num());
  metrics_.kills = static_cast<std::uint64_t>(in.at("kills").num());
  metrics_.leftover_resets = static_cast<std::uint64_t>(in.at("leftover").num());
  metrics_.rollbacks = static_cast<std::uint64_t>(in.at("rollbacks").num());
  metrics_.reload_seconds.restore(in.at("reload_seconds"));
  metrics_.ready_seconds.restore(in.at("ready_seconds"));
  metrics_.drain_seconds.restore(in.at("drain_seconds"));
  for (const auto& [k, v] : in.at("reloads_failed").members()) {
    metrics_.reloads_failed[k] = static_cast<std::uint64_t>(v.num());
  }
  for (const auto& [k, v] : in.at("exits").members()) {
    metrics_.exits[k] = static_cast<std::uint64_t>(v.num());
  }
  last_good_ = loadRelease(in.at("last_good"));
  for (const JsonValue& v : in.at("running").items()) {
    auto r = std::make_unique<Running>();
    r->id = static_cast<int>(v.at("gen").num());
    r->slot = static_cast<int>(v.at("slot").num());
    r->pid = static_cast<pid_t>(v.at("pid").num());
    r->pidfd = adopt(v.at("pidfd"));
    r->exec_result = adopt(v.at("exec"));
    r->exec_done = v.at("exec_done").flag();
    r->leader_gone = v.at("leader_gone").flag();
    r->paused = v.at("paused").flag();
    r->started = v.at("started").num();
    r->command = v.at("command").str();
    r->status = v.at("status").str();
    r->probe_listener = adopt(v.at("probe"));
    r->probe_path = v.at("probe_path").str();
    r->release = loadRelease(v.at("release"));
    if (!r->release || r->id <= 0 || r->pid <= 1) {
      return Error(ErrorCode::kInvalid, "not a generation of this program");
    }
    auto pipe = [&](const JsonValue& fd, Sink& sink) {
      std::unique_ptr<OutputPipe> p;
      UniqueFd end = adopt(fd);
      if (!end) return p;
      p = std::make_unique<OutputPipe>(shared_.loop, sink);
      if (!p->adopt(std::move(end)).ok()) p.reset();
      return p;
    };
    r->out = pipe(v.at("out"), log_ ? *log_ : shared_.own_out);
    r->err = pipe(v.at("err"), log_ ? *log_ : shared_.own_err);
    if (r->err) r->err->setTail(v.at("err_tail").str());
    if (options_.log_prefix) {
      std::string prefix =
          "[gen " + std::to_string(r->id) + " pid " + std::to_string(r->pid) + "] ";
      if (r->out) r->out->setPrefix(prefix);
      if (r->err) r->err->setPrefix(prefix);
    }
    Running& kept = *r;
    running_[r->id] = std::move(r);
    if (kept.leader_gone) {
      dirty_ = true;
    } else {
      watchProcess(kept);
    }
    const GenRecord* g = machine_.find(kept.id);
    if (!g) return Error(ErrorCode::kInvalid, "a generation without a record");
    if (g->state == GenState::kStarting) {
      // Conditions begin anew; what was met before is met again, or the timeout decides.
      SpawnPlan none;
      std::vector<UniqueFd> ends;
      GODWIT_TRY(prepareReadiness(kept, none, ends));
      kept.readiness->start();
      if (kept.exec_done) kept.readiness->running();
    }
    if (g->state == GenState::kActive) routing_.active = g->id;
  }
  // Late connections to slots that were retired before are looked for again.
  for (int slot = 0; slot < options_.policy.slots; ++slot) {
    bool used = std::any_of(running_.begin(), running_.end(),
                            [&](const auto& entry) { return entry.second->slot == slot; });
    if (!used) retireSlots(slot);
  }
  healthFollows();
  armAge();
  return {};
}

}  // namespace godwit::supervise
