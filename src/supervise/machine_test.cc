#include "supervise/machine.h"

#include <gtest/gtest.h>

#include "supervise/exit_code.h"
#include "supervise/sim_world.h"

namespace godwit::supervise {
namespace {

class MachineTest : public ::testing::Test {
 protected:
  MachineTest() { remake({}); }
  void remake(Policy p) {
    p.has_queue = true;
    world = SimWorld();
    machine = std::make_unique<Machine>(world, p);
    world.machine = machine.get();
    now = 1000 * kSecond;
  }
  void pass(TimeNs span) {
    TimeNs until = now + span;
    for (;;) {
      TimeNs next = machine->nextDeadline();
      if (next > until) break;
      ASSERT_GE(next, now - span);
      now = std::max(now, next);
      machine->tick(now);
    }
    now = until;
    machine->tick(now);
  }
  void exitNow(int gen, ExitStatus s = {}) {
    machine->leaderExited(gen, s, now);
    world.processes.erase(gen);
    machine->allGone(gen, now);
  }
  // First generation up and serving.
  void boot() {
    machine->begin(now);
    machine->ready(1, now);
    ASSERT_EQ(machine->state(), ServiceState::kRunning);
    ASSERT_EQ(world.routed.active, 1);
  }
  GenState stateOf(int gen) {
    const GenRecord* g = machine->find(gen);
    return g ? g->state : GenState::kDead;
  }

  SimWorld world;
  std::unique_ptr<Machine> machine;
  TimeNs now = 0;
};

TEST_F(MachineTest, a_reload_promotes_then_lingers_then_terminates) {
  boot();
  int attempt = machine->reload(now, false);
  EXPECT_GT(attempt, 0);
  EXPECT_EQ(machine->state(), ServiceState::kReloading);
  EXPECT_EQ(world.routed.active, 1);
  EXPECT_EQ(world.routed.candidate, 2);
  machine->ready(2, now);
  EXPECT_EQ(world.routed.active, 2);
  EXPECT_EQ(stateOf(1), GenState::kQuiescing);
  EXPECT_FALSE(world.processes[1].termed);
  EXPECT_EQ(world.results.count(attempt), 0u);
  pass(900 * kMs);
  EXPECT_FALSE(world.processes[1].termed);
  pass(100 * kMs);
  EXPECT_TRUE(world.processes[1].termed);
  EXPECT_EQ(stateOf(1), GenState::kDraining);
  ASSERT_EQ(world.results.count(attempt), 1u);
  EXPECT_EQ(world.results[attempt].outcome, Outcome::kActive);
  exitNow(1);
  EXPECT_EQ(machine->generations().size(), 1u);
  pass(70 * kSecond);
  EXPECT_EQ(machine->nextDeadline(), kNever);  // idle: nothing wakes the supervisor
}

TEST_F(MachineTest, a_queue_that_is_not_empty_delays_the_end_but_not_for_ever) {
  boot();
  machine->reload(now, false);
  world.processes[1].queue = 7;
  machine->ready(2, now);
  pass(3 * kSecond);
  EXPECT_FALSE(world.processes[1].termed);
  pass(3 * kSecond + 10 * kMs);
  EXPECT_TRUE(world.processes[1].termed);
}

TEST_F(MachineTest, a_start_that_hangs_never_takes_traffic) {
  boot();
  int attempt = machine->reload(now, false);
  pass(30 * kSecond);
  EXPECT_EQ(world.routed.active, 1);
  EXPECT_EQ(stateOf(2), GenState::kFailing);
  EXPECT_EQ(world.results[attempt].outcome, Outcome::kFailed);
  EXPECT_EQ(world.results[attempt].reason.kind, "timeout");
  EXPECT_EQ(machine->state(), ServiceState::kRunning);
  pass(5 * kSecond);
  EXPECT_EQ(world.killed.count(2), 1u);
}

TEST_F(MachineTest, a_start_that_crashes_keeps_the_old_one_and_is_not_retried) {
  boot();
  int attempt = machine->reload(now, false);
  exitNow(2, {false, 3});
  EXPECT_EQ(world.results[attempt].outcome, Outcome::kFailed);
  EXPECT_EQ(world.results[attempt].reason.kind, "exit");
  pass(120 * kSecond);
  EXPECT_EQ(world.spawned, 2);
  EXPECT_EQ(world.routed.active, 1);
}

TEST_F(MachineTest, many_reloads_at_once_become_one_more) {
  boot();
  std::set<int> attempts;
  for (int i = 0; i < 50; ++i) attempts.insert(machine->reload(now, false));
  EXPECT_EQ(attempts.size(), 2u);
  machine->ready(2, now);
  EXPECT_EQ(world.spawned, 3);
  machine->ready(3, now);
  EXPECT_EQ(world.spawned, 3);
  EXPECT_EQ(machine->state(), ServiceState::kRunning);
}

TEST_F(MachineTest, reloads_during_the_first_start_become_one) {
  machine->begin(now);
  int first = machine->reload(now, false);
  EXPECT_EQ(machine->reload(now, false), first);
  EXPECT_EQ(world.spawned, 1);
  machine->ready(1, now);
  EXPECT_EQ(world.spawned, 2);
  machine->ready(2, now);
  pass(2 * kSecond);
  EXPECT_EQ(world.spawned, 2);
  EXPECT_EQ(world.results[first].outcome, Outcome::kActive);
}

TEST_F(MachineTest, a_soaking_generation_takes_over_when_the_active_one_dies) {
  Policy p;
  p.soak = 60 * kSecond;
  remake(p);
  boot();
  machine->reload(now, false);
  machine->ready(2, now);
  EXPECT_EQ(stateOf(2), GenState::kSoaking);
  exitNow(1, {false, 1});
  EXPECT_EQ(world.routed.active, 2);
  EXPECT_EQ(machine->state(), ServiceState::kRunning);
}

TEST_F(MachineTest, retry_failed_tries_again_so_often) {
  Policy p;
  p.retry_failed = 2;
  remake(p);
  boot();
  machine->reload(now, false);
  for (int gen = 2; gen <= 4; ++gen) {
    pass(kSecond);
    exitNow(gen, {false, 1});
  }
  pass(60 * kSecond);
  EXPECT_EQ(world.spawned, 4);
  EXPECT_EQ(world.routed.active, 1);
  EXPECT_EQ(machine->state(), ServiceState::kRunning);
}

TEST_F(MachineTest, a_crash_in_the_soak_is_a_failed_reload) {
  Policy p;
  p.soak = 2 * kSecond;
  remake(p);
  boot();
  int attempt = machine->reload(now, false);
  machine->ready(2, now);
  EXPECT_EQ(stateOf(2), GenState::kSoaking);
  EXPECT_EQ(world.routed.active, 1);
  pass(500 * kMs);
  exitNow(2, {true, SIGSEGV});
  EXPECT_EQ(world.results[attempt].outcome, Outcome::kFailed);
  EXPECT_EQ(world.routed.active, 1);
}

TEST_F(MachineTest, a_bad_probe_in_the_soak_is_a_failed_reload) {
  Policy p;
  p.soak = 2 * kSecond;
  remake(p);
  boot();
  int attempt = machine->reload(now, false);
  machine->ready(2, now);
  world.soak_verdict = Verdict::kBad;
  pass(2 * kSecond);
  EXPECT_EQ(world.results[attempt].reason.kind, "probe");
  EXPECT_EQ(world.routed.active, 1);
}

TEST_F(MachineTest, a_death_while_the_old_one_lingers_rolls_back_at_once) {
  boot();
  int attempt = machine->reload(now, false);
  machine->ready(2, now);
  EXPECT_EQ(world.routed.active, 2);
  pass(500 * kMs);
  exitNow(2, {false, 1});
  EXPECT_EQ(world.routed.active, 1);
  EXPECT_EQ(stateOf(1), GenState::kActive);
  EXPECT_EQ(world.results[attempt].outcome, Outcome::kRolledBack);
  EXPECT_EQ(machine->rolledBackFrom(), 2);
  EXPECT_FALSE(world.processes[1].termed);
}

TEST_F(MachineTest, a_crash_restarts_in_the_same_slot_with_growing_delays) {
  boot();
  for (int i = 0; i < 4; ++i) {
    int gen = machine->generations().back().id;
    int slot = machine->generations().back().slot;
    exitNow(gen, {false, 1});
    EXPECT_EQ(machine->state(), ServiceState::kDegraded);
    pass(world.delays.back());
    ASSERT_FALSE(machine->generations().empty());
    EXPECT_EQ(machine->generations().back().slot, slot);
    machine->ready(machine->generations().back().id, now);
    EXPECT_EQ(machine->state(), ServiceState::kRunning);
  }
  EXPECT_EQ(world.delays, (std::vector<TimeNs>{100 * kMs, 200 * kMs, 400 * kMs, 800 * kMs}));
  pass(61 * kSecond);
  exitNow(machine->generations().back().id, {false, 1});
  EXPECT_EQ(world.delays.back(), 100 * kMs);
}

TEST_F(MachineTest, a_release_that_dies_soon_after_promotion_gives_way_to_the_last_good_one) {
  boot();
  pass(61 * kSecond);
  EXPECT_EQ(world.good, 1);
  machine->reload(now, false);
  machine->ready(2, now);
  pass(2 * kSecond);
  exitNow(1);
  exitNow(2, {false, 1});
  pass(kSecond);
  ASSERT_EQ(world.processes.count(3), 1u);
  EXPECT_EQ(world.processes[3].release, Release::kLastGood);
  EXPECT_EQ(machine->rolledBackFrom(), 2);
  machine->ready(3, now);
  EXPECT_EQ(machine->rolledBackFrom(), 2);
  machine->reload(now, false);
  EXPECT_EQ(world.processes[4].release, Release::kCurrent);
}

TEST_F(MachineTest, restart_no_ends_with_the_childs_code) {
  Policy p;
  p.restart = Restart::kNo;
  remake(p);
  boot();
  exitNow(1, {true, SIGSEGV});
  EXPECT_EQ(world.ended, 128 + SIGSEGV);
}

TEST_F(MachineTest, a_clean_exit_is_no_failure) {
  boot();
  exitNow(1, {false, 0});
  EXPECT_EQ(world.ended, 0);
}

TEST_F(MachineTest, a_first_start_that_fails_with_restart_no_is_69) {
  Policy p;
  p.restart = Restart::kNo;
  remake(p);
  machine->begin(now);
  exitNow(1, {false, 1});
  EXPECT_EQ(world.ended, kExitGaveUp);
}

TEST_F(MachineTest, a_command_not_found_at_the_first_start_is_127) {
  machine->begin(now);
  machine->startFailed(1, {"exec", "not found"}, kExitNotFound, now);
  machine->allGone(1, now);
  EXPECT_EQ(world.ended, kExitNotFound);
}

TEST_F(MachineTest, max_restarts_ends_with_69) {
  Policy p;
  p.max_restarts = 3;
  p.max_restarts_window = 60 * kSecond;
  remake(p);
  machine->begin(now);
  for (int i = 0; i < 10 && !world.ended; ++i) {
    exitNow(machine->generations().back().id, {false, 1});
    if (!world.ended) pass(world.delays.back());
  }
  EXPECT_EQ(world.ended, kExitGaveUp);
  EXPECT_EQ(world.spawned, 4);
}

TEST_F(MachineTest, stop_ends_all_and_refuses_reloads) {
  boot();
  machine->reload(now, false);
  int waiting = machine->reload(now, false);
  machine->stop(now);
  EXPECT_EQ(world.results[waiting].outcome, Outcome::kRefused);
  EXPECT_EQ(machine->reload(now, false), 0);
  EXPECT_TRUE(world.processes[1].termed);
  EXPECT_TRUE(world.processes[2].termed);
  exitNow(2);
  exitNow(1);
  EXPECT_EQ(world.ended, 0);
}

TEST_F(MachineTest, a_child_that_ignores_the_stop_signal_is_killed_on_time) {
  Policy p;
  p.strict_stop = true;
  remake(p);
  boot();
  machine->stop(now);
  pass(29 * kSecond);
  EXPECT_EQ(world.killed.count(1), 0u);
  pass(kSecond);
  EXPECT_EQ(world.killed.count(1), 1u);
  exitNow(1, {true, SIGKILL});
  EXPECT_EQ(world.ended, kExitHadToKill);
}

TEST_F(MachineTest, reload_now_supersedes_the_one_under_way) {
  boot();
  int first = machine->reload(now, false);
  int second = machine->reload(now, true);
  EXPECT_EQ(world.results[first].outcome, Outcome::kSuperseded);
  EXPECT_EQ(world.results[first].successor, second);
  EXPECT_EQ(stateOf(2), GenState::kFailing);
  EXPECT_EQ(world.spawned, 3);
  machine->ready(3, now);
  pass(kSecond);
  EXPECT_EQ(world.results[second].outcome, Outcome::kActive);
}

TEST_F(MachineTest, the_limit_makes_the_oldest_drain_faster_but_not_at_once) {
  boot();
  for (int gen = 2; gen <= 3; ++gen) {
    machine->reload(now, false);
    machine->ready(gen, now);
    pass(kSecond);
  }
  EXPECT_EQ(machine->generations().size(), 3u);
  machine->reload(now, false);
  EXPECT_EQ(world.spawned, 3);
  EXPECT_TRUE(world.killed.empty());
  pass(5 * kSecond);
  EXPECT_EQ(world.killed, std::set<int>{1});
  exitNow(1, {true, SIGKILL});
  EXPECT_EQ(world.spawned, 4);
}

TEST_F(MachineTest, rollback_and_canary_by_hand) {
  Policy p;
  p.keep_old = 60 * kSecond;
  p.soak = kNever;
  remake(p);
  boot();
  EXPECT_EQ(machine->rollback(now), 0);
  machine->reload(now, false);
  EXPECT_FALSE(machine->setCanary(10));
  machine->ready(2, now);
  EXPECT_TRUE(machine->setCanary(10));
  EXPECT_EQ(world.routed.canary_percent, 10);
  pass(3600 * kSecond);
  EXPECT_EQ(stateOf(2), GenState::kSoaking);
  EXPECT_TRUE(machine->promoteNow(now));
  pass(30 * kSecond);
  EXPECT_EQ(machine->rollback(now), -1);
  EXPECT_EQ(world.routed.active, 1);
  EXPECT_EQ(stateOf(2), GenState::kQuiescing);
  pass(61 * kSecond);
  EXPECT_TRUE(world.processes[2].termed);
  EXPECT_FALSE(world.processes[1].termed);
}

TEST_F(MachineTest, a_check_that_fails_touches_nothing) {
  world.has_check = true;
  machine->begin(now);
  machine->checkDone(world.check_running, true, {}, now);
  machine->ready(1, now);
  int attempt = machine->reload(now, false);
  EXPECT_EQ(world.spawned, 1);
  machine->checkDone(world.check_running, false, {"check", "exit 1"}, now);
  EXPECT_EQ(world.results[attempt].reason.kind, "check");
  EXPECT_EQ(world.spawned, 1);
  EXPECT_EQ(machine->state(), ServiceState::kRunning);
}

TEST_F(MachineTest, an_unhealthy_active_generation_is_replaced_gracefully) {
  boot();
  machine->unhealthy(1, {"liveness", "no answer"}, now);
  EXPECT_EQ(world.routed.active, 1);
  EXPECT_EQ(world.spawned, 2);
  machine->unhealthy(1, {"liveness", "no answer"}, now);
  EXPECT_EQ(world.spawned, 2);
  machine->ready(2, now);
  EXPECT_EQ(world.routed.active, 2);
  exitNow(2, {false, 1});
  EXPECT_EQ(machine->active(), nullptr) << "a hung generation is nothing to go back to";
}

TEST_F(MachineTest, the_state_survives_a_re_exec) {
  boot();
  machine->reload(now, false);
  machine->ready(2, now);
  machine->reload(now, false);
  machine->reload(now, false);
  JsonWriter w;
  machine->save(w);
  auto parsed = parseJson(w.text());
  ASSERT_TRUE(parsed.ok()) << w.text();
  Machine other(world, machine->policy());
  ASSERT_TRUE(other.restore(*parsed).ok());
  JsonWriter again;
  other.save(again);
  EXPECT_EQ(again.text(), w.text());
  EXPECT_EQ(other.nextDeadline(), machine->nextDeadline());
}

}  // namespace
}  // namespace godwit::supervise
