// The invariants of the machine, over random walks.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "supervise/machine.h"
#include "supervise/sim_world.h"

namespace godwit::supervise {
namespace {

// Random behaviour and signals. The world's own expectations hold at each call; the rest is looked
// at after each step.
class Chaos {
 public:
  Chaos(unsigned seed, Policy policy) : rng_(seed), machine_(world_, std::move(policy)) {
    world_.machine = &machine_;
    world_.has_check = seed % 3 == 0;
    machine_.begin(now_);
  }

  void step() {
    ++steps;
    now_ += static_cast<TimeNs>(pick(400)) * kMs;
    machine_.tick(now_);
    deliver();
    switch (pick(14)) {
      case 0:
      case 1:
        machine_.reload(now_, false);
        break;
      case 2:
        if (pick(4) == 0) machine_.reload(now_, true);
        break;
      case 3:
        if (pick(4) == 0) machine_.rollback(now_);
        break;
      case 4:
        machine_.promoteNow(now_);
        break;
      case 5:
        machine_.setCanary(static_cast<int>(pick(101)));
        break;
      case 6:
        if (int g = any()) machine_.unhealthy(g, {"liveness", "x"}, now_);
        break;
      case 7:
        if (int g = any()) machine_.saidStopping(g, now_);
        break;
      case 8:
        if (int g = any(); g && pick(3) == 0) die(g, {pick(2) == 0, 1 + static_cast<int>(pick(9))});
        break;
      case 9:
        world_.fail_spawns = pick(6) == 0 ? 1 : 0;
        break;
      case 10:
        if (int g = any()) machine_.extendTimeout(g, now_ + 60 * kSecond);
        break;
      case 11:
        world_.soak_verdict = static_cast<Verdict>(pick(3));
        break;
      case 12:
        if (int g = any()) world_.processes[g].queue = static_cast<int>(pick(3));
        break;
      default:
        break;
    }
    deliver();
    verify();
  }

  // Ends the service and sees that it does end, within the time the stop sequence allows.
  void finish() {
    machine_.stop(now_);
    for (int i = 0; i < 2000 && !world_.ended; ++i) {
      now_ += 100 * kMs;
      machine_.tick(now_);
      for (auto& [id, p] : std::map<int, SimWorld::Process>(world_.processes)) {
        // The world kills what a dead leader left behind.
        if (world_.killed.count(id) || !p.alive) die(id, {true, SIGKILL});
      }
    }
    EXPECT_TRUE(world_.ended) << "the service does not end";
    EXPECT_TRUE(world_.processes.empty());
  }

  int steps = 0;
  SimWorld& world() { return world_; }

 private:
  std::uint32_t pick(std::uint32_t n) { return static_cast<std::uint32_t>(rng_() % n); }
  int any() {
    if (world_.processes.empty()) return 0;
    auto it = world_.processes.begin();
    std::advance(it, pick(static_cast<std::uint32_t>(world_.processes.size())));
    return it->first;
  }
  void die(int gen, ExitStatus s) {
    auto it = world_.processes.find(gen);
    if (it == world_.processes.end()) return;
    if (it->second.alive) {
      it->second.alive = false;
      if (pick(4) == 0) {
        it->second.stragglers = true;
        machine_.leaderExited(gen, s, now_);
        return;
      }
      machine_.leaderExited(gen, s, now_);
    }
    it = world_.processes.find(gen);
    if (it == world_.processes.end()) return;
    world_.processes.erase(it);
    machine_.allGone(gen, now_);
  }
  // What the pretended processes do about what they were told.
  void deliver() {
    if (world_.check_running) {
      int attempt = std::exchange(world_.check_running, 0);
      machine_.checkDone(attempt, pick(5) != 0, {"check", "exit 1"}, now_);
    }
    for (auto& [id, copy] : std::map<int, SimWorld::Process>(world_.processes)) {
      const GenRecord* g = machine_.find(id);
      if (!g) {
        ADD_FAILURE() << "the machine forgot generation " << id;
        continue;
      }
      if (g->state == GenState::kStarting) {
        switch (pick(6)) {
          case 0:
          case 1:
          case 2:
            machine_.ready(id, now_);
            break;
          case 3:
            die(id, {false, static_cast<int>(pick(2))});
            break;
          default:
            break;  // hangs
        }
      } else if (world_.killed.count(id) || !copy.alive) {
        if (pick(2) == 0) die(id, {true, SIGKILL});
      } else if (copy.termed && !copy.ignores_term && pick(3) != 0) {
        die(id, {false, 0});
      }
    }
  }
  void verify() {
    int serving = 0;
    int candidates = 0;
    std::set<int> slots;
    for (const GenRecord& g : machine_.generations()) {
      if (g.state == GenState::kActive) {
        ++serving;
        ASSERT_EQ(world_.routed.active, g.id);
        ASSERT_FALSE(g.leader_gone);
      }
      if (g.state == GenState::kStarting || g.state == GenState::kSoaking) ++candidates;
      ASSERT_TRUE(slots.insert(g.slot).second) << "a slot is used twice";
      ASSERT_EQ(world_.processes.count(g.id), 1u) << "a record outlives its processes";
    }
    ASSERT_LE(serving, 1);
    ASSERT_LE(candidates, 1);
    ASSERT_LE(static_cast<int>(machine_.generations().size()), machine_.policy().max_generations);
    ASSERT_EQ(world_.processes.size(), machine_.generations().size());
    if (machine_.state() == ServiceState::kRunning) {
      ASSERT_EQ(serving, 1);
    }
    if (machine_.state() == ServiceState::kReloading) {
      ASSERT_EQ(serving, 1);
    }
    if (machine_.state() == ServiceState::kDegraded) {
      ASSERT_EQ(serving, 0);
    }
    // Degraded never sleeps for good: a start is under way, due, or waits for processes to end.
    if (machine_.state() == ServiceState::kDegraded && world_.processes.empty() &&
        world_.check_running == 0) {
      ASSERT_NE(machine_.nextDeadline(), kNever);
    }
  }

  std::mt19937 rng_;
  SimWorld world_;
  Machine machine_;
  TimeNs now_ = 1000 * kSecond;
};

TEST(MachineProperty, invariants_hold_over_300000_random_steps) {
  int steps = 0;
  int promoted = 0;
  int crashes = 0;
  for (unsigned seed = 1; seed <= 3200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Policy p;
    p.has_queue = seed % 4 != 0;
    p.restart = Restart::kAlways;
    p.soak = seed % 2 ? 0 : kSecond;
    p.keep_old = seed % 5 ? 0 : 3 * kSecond;
    p.max_generations = 2 + static_cast<int>(seed % 3);
    p.on_limit = static_cast<OnLimit>(seed % 3);
    p.min_interval = seed % 7 ? 0 : 500 * kMs;
    p.retry_failed = seed % 6 ? 0 : 2;
    p.rollback = seed % 8 != 0;
    Chaos chaos(seed, p);
    for (int i = 0; i < 100 && !chaos.world().ended; ++i) {
      chaos.step();
      if (::testing::Test::HasFatalFailure()) return;
    }
    chaos.finish();
    steps += chaos.steps;
    promoted += static_cast<int>(chaos.world().promoted.size());
    crashes += chaos.world().crashes;
    if (::testing::Test::HasFailure()) return;
  }
  EXPECT_GE(steps, 300000);
  EXPECT_GT(promoted, 24000) << "the walk does not reach what it is meant to test";
  EXPECT_GT(crashes, 4000);
}

}  // namespace
}  // namespace godwit::supervise
