#include "supervise/state.h"

#include <gtest/gtest.h>

#include <set>

namespace godwit::supervise {
namespace {

GenState gen(std::size_t i) { return static_cast<GenState>(i); }
GenEvent genEvent(std::size_t i) { return static_cast<GenEvent>(i); }

TEST(StateTable, every_state_answers_every_event) {
  for (std::size_t s = 0; s < kGenStates; ++s) {
    EXPECT_FALSE(name(gen(s)).empty());
    for (std::size_t e = 0; e < kGenEvents; ++e) {
      const GenStep& step = stepOf(gen(s), genEvent(e));
      EXPECT_LT(static_cast<std::size_t>(step.next), kGenStates);
      // A change of state is never silent.
      if (step.next != gen(s)) {
        EXPECT_NE(step.action, GenAction::kNothing) << name(gen(s)) << "/" << name(genEvent(e));
      }
    }
  }
  for (std::size_t s = 0; s < kServiceStates; ++s) {
    for (std::size_t e = 0; e < kServiceEvents; ++e) {
      const auto& step = stepOf(ServiceState(s), ServiceEvent(e));
      EXPECT_LT(static_cast<std::size_t>(step.next), kServiceStates);
    }
  }
}

TEST(StateTable, an_exit_ends_every_generation_and_nothing_revives_it) {
  for (std::size_t s = 0; s < kGenStates; ++s) {
    EXPECT_EQ(stepOf(gen(s), GenEvent::kExit).next, GenState::kDead);
  }
  for (std::size_t e = 0; e < kGenEvents; ++e) {
    EXPECT_EQ(stepOf(GenState::kDead, genEvent(e)).next, GenState::kDead);
    EXPECT_EQ(stepOf(GenState::kDead, genEvent(e)).action, GenAction::kNothing);
  }
}

TEST(StateTable, the_active_generation_ends_only_by_stop_kill_or_its_own_exit) {
  for (std::size_t e = 0; e < kGenEvents; ++e) {
    GenState next = stepOf(GenState::kActive, genEvent(e)).next;
    bool ends = next == GenState::kDraining || next == GenState::kFailing ||
                next == GenState::kKilling || next == GenState::kDead;
    bool may = genEvent(e) == GenEvent::kStop || genEvent(e) == GenEvent::kKill ||
               genEvent(e) == GenEvent::kExit;
    EXPECT_EQ(ends, may) << name(genEvent(e));
  }
}

TEST(StateTable, traffic_needs_readiness_first) {
  for (std::size_t e = 0; e < kGenEvents; ++e) {
    GenState next = stepOf(GenState::kStarting, genEvent(e)).next;
    EXPECT_NE(next, GenState::kActive) << name(genEvent(e));
    if (next == GenState::kSoaking) {
      EXPECT_EQ(genEvent(e), GenEvent::kReady);
    }
  }
}

TEST(StateTable, a_kill_reaches_every_living_state_and_nothing_leaves_killing_alive) {
  for (std::size_t s = 0; s + 1 < kGenStates; ++s) {
    EXPECT_EQ(stepOf(gen(s), GenEvent::kKill).next, GenState::kKilling);
  }
  for (std::size_t e = 0; e < kGenEvents; ++e) {
    GenState next = stepOf(GenState::kKilling, genEvent(e)).next;
    EXPECT_TRUE(next == GenState::kKilling || next == GenState::kDead);
  }
}

TEST(StateTable, nothing_brings_a_stopping_service_back) {
  for (std::size_t e = 0; e < kServiceEvents; ++e) {
    ServiceState a = stepOf(ServiceState::kStopping, ServiceEvent(e)).next;
    EXPECT_TRUE(a == ServiceState::kStopping || a == ServiceState::kStopped);
    EXPECT_EQ(stepOf(ServiceState::kStopped, ServiceEvent(e)).next, ServiceState::kStopped);
  }
}

TEST(StateTable, the_rendering_shows_every_pair) {
  std::string text = renderStateTables();
  std::size_t rows = 0;
  for (std::size_t at = 0; (at = text.find("| **", at)) != std::string::npos; ++at) ++rows;
  EXPECT_EQ(rows, kGenEvents + kServiceEvents);
}

}  // namespace
}  // namespace godwit::supervise
