// For tests of the machine.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <vector>

#include "supervise/machine.h"

namespace godwit::supervise {

// A world of pretended processes. It checks what must hold at every call the machine makes.
class SimWorld final : public World {
 public:
  struct Process {
    int slot = 0;
    bool alive = true;        // the leader
    bool stragglers = false;  // left behind by it
    bool termed = false;
    bool ignores_term = false;
    Release release = Release::kCurrent;
    int queue = 0;
  };

  std::optional<Reason> spawn(int gen, int slot, Release release) override {
    if (fail_spawns > 0) {
      --fail_spawns;
      return Reason{"fork", "no more processes"};
    }
    for (const auto& [id, p] : processes) {
      EXPECT_NE(p.slot, slot) << "slot " << slot << " still belongs to generation " << id;
    }
    EXPECT_TRUE(processes.emplace(gen, Process{.slot = slot, .release = release}).second);
    ++spawned;
    return std::nullopt;
  }
  void signal(int gen, int signal, bool group) override {
    auto it = processes.find(gen);
    ASSERT_NE(it, processes.end()) << "signal to generation " << gen << ", which is gone";
    if (signal == SIGCONT) return;
    // The one that serves is told to end only when the service stops.
    if (gen == routed.active && machine->state() != ServiceState::kStopping) {
      ADD_FAILURE() << "signal " << signal << " to the active generation " << gen;
    }
    if (signal == SIGKILL) {
      EXPECT_TRUE(group);
      killed.insert(gen);
    } else {
      it->second.termed = true;
    }
  }
  bool route(const Routing& r) override {
    if (r.active != 0 && !processes.count(r.active)) ADD_FAILURE() << "routed to a dead one";
    routed = r;
    return true;
  }
  bool queueEmpty(int gen) override { return processes[gen].queue == 0; }
  Verdict soakVerdict(int) override { return soak_verdict; }
  bool startCheck(int attempt) override {
    check_running = has_check ? attempt : 0;
    return has_check;
  }
  void cancelCheck() override { check_running = 0; }
  double jitter() override { return 1.0; }
  void onPromoted(int gen, int old) override { promoted.emplace_back(gen, old); }
  void onFailed(int gen, const Reason& why) override { failed.emplace_back(gen, why.kind); }
  void onCrashed(int, const ExitStatus&) override { ++crashes; }
  void onState(int) override {}
  void onGood(int gen) override { good = gen; }
  void onAttempt(const AttemptResult& r) override {
    EXPECT_TRUE(results.emplace(r.attempt, r).second)
        << "attempt " << r.attempt << " answered twice";
  }
  void onRestartDelay(TimeNs d) override { delays.push_back(d); }
  void onEnded(int code) override {
    EXPECT_FALSE(ended);
    ended = code;
  }

  Machine* machine = nullptr;
  std::map<int, Process> processes;
  std::set<int> killed;
  Routing routed;
  Verdict soak_verdict = Verdict::kGood;
  bool has_check = false;
  int check_running = 0;
  int fail_spawns = 0;
  int spawned = 0;
  int crashes = 0;
  int good = 0;
  std::vector<std::pair<int, int>> promoted;
  std::vector<std::pair<int, std::string>> failed;
  std::map<int, AttemptResult> results;
  std::vector<TimeNs> delays;
  std::optional<int> ended;
};

}  // namespace godwit::supervise
