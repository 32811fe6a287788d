// Machine across a re-exec of the supervisor. Times are CLOCK_MONOTONIC and stay valid.
#include "supervise/machine.h"

namespace godwit::supervise {

void Machine::save(JsonWriter& out) const {
  auto attempt = [&](std::string_view key, const std::optional<Attempt>& a) {
    if (!a) return;
    out.key(key).beginObject();
    out.field("id", a->id).field("release", static_cast<int>(a->release));
    out.field("not_before", a->not_before).field("gen", a->gen);
    out.field("checked", a->check == Attempt::Check::kPassed).endObject();
  };
  out.beginObject().field("state", static_cast<int>(state_));
  out.key("gens").beginArray();
  for (const GenRecord& g : gens_) {
    out.beginObject().field("id", g.id).field("slot", g.slot).field("attempt", g.attempt);
    out.field("state", static_cast<int>(g.state)).field("release", static_cast<int>(g.release));
    out.field("started", g.started).field("ready_at", g.ready_at).field("active_at", g.active_at);
    out.field("retired_at", g.retired_at).field("stopping_at", g.stopping_at);
    out.field("deadline", g.deadline).field("stage", g.stage);
    out.field("failure_stop", g.failure_stop).field("settled", g.settled).field("good", g.good);
    out.field("leader_gone", g.leader_gone).field("unhealthy", g.unhealthy);
    out.field("signaled", g.exit.signaled).field("code", g.exit.code).endObject();
  }
  out.endArray();
  out.key("settling").beginArray();
  for (const Settling& x : settling_) out.integer(x.attempt).integer(x.gen);
  out.endArray();
  attempt("current", current_);
  attempt("pending", pending_);
  out.field("last_gen", last_gen_).field("last_attempt", last_attempt_);
  out.field("pinned_slot", pinned_slot_).field("last_slot", last_slot_).field("backoff", backoff_);
  out.field("retries_left", retries_left_).field("rolled_back_from", rolled_back_from_);
  out.field("canary", canary_).field("restarts", restarts_total_).field("have_good", have_good_);
  out.field("use_last_good", use_last_good_).field("had_to_kill", had_to_kill_);
  out.field("exit_code", exit_code_).field("last_start", last_start_).endObject();
}

Result<> Machine::restore(const JsonValue& in) {
  auto number = [](const JsonValue& v, std::string_view key) {
    return static_cast<int>(v.at(key).num());
  };
  auto attempt = [&](const JsonValue& v) -> std::optional<Attempt> {
    if (v.kind() != JsonValue::Kind::kObject) return std::nullopt;
    Attempt a;
    a.id = number(v, "id");
    a.release = v.at("release").num() == 0 ? Release::kCurrent : Release::kLastGood;
    a.not_before = v.at("not_before").num();
    a.gen = number(v, "gen");
    if (v.at("checked").flag()) a.check = Attempt::Check::kPassed;
    return a;
  };
  std::int64_t state = in.at("state").num(-1);
  const auto& gens = in.at("gens").items();
  if (state < 0 || state >= static_cast<std::int64_t>(kServiceStates) ||
      gens.size() > kMaxGenerations) {
    return Error(ErrorCode::kInvalid, "not a state of this program");
  }
  state_ = static_cast<ServiceState>(state);
  gens_.clear();
  for (const JsonValue& v : gens) {
    GenRecord g;
    std::int64_t gen_state = v.at("state").num(-1);
    g.id = number(v, "id");
    if (gen_state < 0 || gen_state >= static_cast<std::int64_t>(kGenStates) || g.id <= 0) {
      return Error(ErrorCode::kInvalid, "not a generation of this program");
    }
    g.state = static_cast<GenState>(gen_state);
    g.slot = number(v, "slot");
    g.attempt = number(v, "attempt");
    g.release = v.at("release").num() == 0 ? Release::kCurrent : Release::kLastGood;
    g.started = v.at("started").num();
    g.ready_at = v.at("ready_at").num();
    g.active_at = v.at("active_at").num();
    g.retired_at = v.at("retired_at").num();
    g.stopping_at = v.at("stopping_at").num();
    g.deadline = v.at("deadline").num(kNever);
    g.stage = static_cast<std::size_t>(v.at("stage").num());
    g.failure_stop = v.at("failure_stop").flag();
    g.settled = v.at("settled").flag();
    g.good = v.at("good").flag();
    g.leader_gone = v.at("leader_gone").flag();
    g.unhealthy = v.at("unhealthy").flag();
    g.exit = {v.at("signaled").flag(), number(v, "code")};
    gens_.push_back(g);
  }
  const auto& settling = in.at("settling").items();
  for (std::size_t i = 0; i + 1 < settling.size(); i += 2) {
    settling_.push_back(
        {static_cast<int>(settling[i].num()), static_cast<int>(settling[i + 1].num())});
  }
  current_ = attempt(in.at("current"));
  pending_ = attempt(in.at("pending"));
  last_gen_ = number(in, "last_gen");
  last_attempt_ = number(in, "last_attempt");
  pinned_slot_ = number(in, "pinned_slot");
  last_slot_ = number(in, "last_slot");
  backoff_ = number(in, "backoff");
  retries_left_ = number(in, "retries_left");
  rolled_back_from_ = number(in, "rolled_back_from");
  canary_ = number(in, "canary");
  restarts_total_ = number(in, "restarts");
  have_good_ = in.at("have_good").flag();
  use_last_good_ = in.at("use_last_good").flag();
  had_to_kill_ = in.at("had_to_kill").flag();
  exit_code_ = number(in, "exit_code");
  last_start_ = in.at("last_start").num();
  return {};
}

}  // namespace godwit::supervise
