// The policy of one service: which generation to start, promote, retire, kill, and when. Pure: time
// is an argument and every effect goes through World, so a test can run years of it in a second.
// Loop thread only. Members of Machine never block and never fail.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "supervise/json.h"
#include "supervise/signals.h"
#include "supervise/state.h"
#include "supervise/world.h"

namespace godwit::supervise {

enum class Restart : unsigned char { kOnFailure, kAlways, kNo };
enum class OnLimit : unsigned char { kKillOldest, kWait, kRefuse };

struct Policy {
  TimeNs ready_timeout = 30 * kSecond;
  TimeNs soak = 0;  // kNever: until `promote`
  int canary_percent = 0;
  TimeNs linger = kSecond;
  TimeNs keep_old = 0;
  bool has_queue = false;  // generations own their queue: quiesce before telling them to end
  std::vector<StopStage> stop = {{SIGTERM, 30 * kSecond}, {SIGKILL, kNever}};
  TimeNs kill_after_failed = 5 * kSecond;
  int slots = 4;
  int max_generations = 3;
  OnLimit on_limit = OnLimit::kKillOldest;
  TimeNs min_interval = 0;
  Restart restart = Restart::kOnFailure;
  TimeNs stable = 60 * kSecond;
  int max_restarts = 0;  // 0 = no limit
  TimeNs max_restarts_window = 60 * kSecond;
  bool rollback = true;
  TimeNs rollback_window = 60 * kSecond;
  int retry_failed = 0;
  bool strict_stop = false;  // exit 124 when SIGKILL was needed
};

inline constexpr std::size_t kMaxGenerations = 8;  // what --max-generations may ask for

// Beyond --linger, how long a queue may take to empty, and how far apart it is looked at twice.
inline constexpr TimeNs kQuiesceSlack = 5 * kSecond;
inline constexpr TimeNs kQueueRecheck = 5 * kMs;
inline constexpr TimeNs kMaxBackoff = 30 * kSecond;

struct GenRecord {
  int id = 0;
  int slot = 0;
  int attempt = 0;
  GenState state = GenState::kStarting;
  Release release = Release::kCurrent;
  TimeNs started = 0;
  TimeNs ready_at = 0;    // 0: not yet
  TimeNs active_at = 0;   // 0: never
  TimeNs retired_at = 0;  // start of quiescing
  TimeNs stopping_at = 0;
  TimeNs deadline = kNever;
  std::size_t stage = 0;
  bool failure_stop = false;  // uses the stop sequence of failures
  bool queue_was_empty = false;
  bool settled = false;  // quiescing is over but for --keep-old
  bool good = false;
  bool leader_gone = false;
  ExitStatus exit;
  bool unhealthy = false;  // not a generation to go back to
};

class Machine {
 public:
  Machine(World& world, Policy policy);

  // New numbers; generations that end already keep their deadlines.
  void setPolicy(Policy policy) { policy_ = std::move(policy); }
  [[nodiscard]] const Policy& policy() const { return policy_; }

  // Before begin(): where clients queue already.
  void setPublicSlot(int slot) { pinned_slot_ = slot; }
  void begin(TimeNs now);
  // Returns the attempt that will answer, or 0 when refused. `why` is a word for the log.
  int reload(TimeNs now, bool at_once, Release release = Release::kCurrent);
  // Back to the generation before, if it still runs; else a start of what last served well. The
  // attempt, 0 when there is nothing to go back to, -1 when the older one is active again already.
  int rollback(TimeNs now);
  bool promoteNow(TimeNs now);            // ends the soak; false when none soaks
  bool setCanary(int percent);            // of the soaking one; false when none soaks
  void stop(TimeNs now, int signal = 0);  // 0: as --stop-seq says
  void killAll(TimeNs now);

  // From the world.
  void ready(int gen, TimeNs now);
  void unhealthy(int gen, const Reason& why, TimeNs now);
  void saidStopping(int gen, TimeNs now);
  void extendTimeout(int gen, TimeNs until);
  void leaderExited(int gen, const ExitStatus& status, TimeNs now);
  void allGone(int gen, TimeNs now);  // no process of it is left; its slot is free
  void startFailed(int gen, const Reason& why, int exit_code, TimeNs now);  // exec failed
  void checkDone(int attempt, bool good, const Reason& why, TimeNs now);

  // Does what is due. Call when nextDeadline() has come, and after any of the above (they do not
  // look at the clock of other generations).
  void tick(TimeNs now);
  [[nodiscard]] TimeNs nextDeadline() const;

  [[nodiscard]] ServiceState state() const { return state_; }
  [[nodiscard]] const std::vector<GenRecord>& generations() const { return gens_; }
  [[nodiscard]] const GenRecord* find(int gen) const;
  [[nodiscard]] const GenRecord* active() const;
  [[nodiscard]] const GenRecord* candidate() const;  // starting or soaking
  [[nodiscard]] bool pending() const { return pending_.has_value(); }
  [[nodiscard]] bool idle() const;  // nothing is on its way: running, one generation, no start due
  [[nodiscard]] int rolledBackFrom() const { return rolled_back_from_; }
  [[nodiscard]] int lastGen() const { return last_gen_; }
  [[nodiscard]] int canaryPercent() const { return canary_; }
  [[nodiscard]] int restarts() const { return restarts_total_; }
  // When the next restart is due; 0 when none waits.
  [[nodiscard]] TimeNs restartAt() const {
    return current_ && current_->gen == 0 ? current_->not_before : 0;
  }

  // For the re-exec: everything but the policy.
  void save(JsonWriter& out) const;
  Result<> restore(const JsonValue& in);

 private:
  struct Attempt {
    int id = 0;
    Release release = Release::kCurrent;
    TimeNs not_before = 0;
    int gen = 0;  // 0: not spawned yet
    enum class Check : unsigned char { kNotYet, kRunning, kPassed } check = Check::kNotYet;
    bool limit_acted = false;
  };
  struct Settling {
    int attempt = 0;
    int gen = 0;
  };

  void apply(GenRecord& g, GenEvent event, TimeNs now, const Reason& why = {});
  void act(GenRecord& g, GenAction action, TimeNs now, const Reason& why);
  void applyService(ServiceEvent event, TimeNs now, const Reason& why = {});
  void actService(ServiceAction action, TimeNs now, const Reason& why);
  void due(GenRecord& g, TimeNs now);
  void soak(GenRecord& g, TimeNs now);
  void promote(GenRecord& g, TimeNs now);
  void reinstate(GenRecord& g, TimeNs now);
  void quiesce(GenRecord& g, TimeNs now);
  void checkQuiesce(GenRecord& g, TimeNs now);
  void enterStage(GenRecord& g, std::size_t stage, TimeNs now);
  void crashed(GenRecord& g, const ExitStatus& status, TimeNs now);
  bool takeOver(const GenRecord& lost, TimeNs now);
  void startHasFailed(const GenRecord& g, TimeNs now, const Reason& why);
  void attemptFailed(TimeNs now, const Reason& why);
  int startNext(TimeNs now, Release release, TimeNs delay);
  void beginGeneration(int slot, TimeNs now);
  void scheduleRestart(TimeNs now, bool boot, const Reason& why);
  void advance(TimeNs now);
  bool makeRoom(TimeNs now);
  void supersede(TimeNs now);
  void finish(TimeNs now);
  void startPending(TimeNs now);
  [[nodiscard]] TimeNs intervalDelay(TimeNs now) const;
  void settle();
  void settleFor(int gen, Outcome outcome, const Reason& why);
  void cancelAttempts(const Reason& why);
  void giveUp(int exit_code, TimeNs now);
  void reportEnd();
  void reroute();
  void enter(GenRecord& g, GenState state);
  [[nodiscard]] int freeSlot() const;
  [[nodiscard]] std::vector<StopStage> stagesOf(const GenRecord& g) const;
  GenRecord* findMutable(int gen);
  TimeNs nextBackoff();

  // Set once.
  World& world_;
  Policy policy_;

  ServiceState state_ = ServiceState::kWaiting;
  std::vector<GenRecord> gens_;  // oldest first; until no process of it is left
  std::optional<Attempt> current_;
  std::optional<Attempt> pending_;
  std::vector<Settling> settling_;
  int stop_signal_ = 0;          // asked for by stop(); 0 = the configured one
  std::deque<TimeNs> crashes_;   // of active generations, at most kMaxCrashes
  std::deque<TimeNs> restarts_;  // for --max-restarts
  int last_gen_ = 0;
  int last_attempt_ = 0;
  int pinned_slot_ = 0;  // where the public goes, also while no generation lives there
  int backoff_ = 0;
  int retries_left_ = 0;
  int rolled_back_from_ = 0;
  int canary_ = 0;
  int restarts_total_ = 0;
  bool have_good_ = false;
  bool use_last_good_ = false;  // for the next restart
  bool had_to_kill_ = false;
  int exit_code_ = 0;
  int last_slot_ = -1;
  TimeNs last_start_ = 0;
  TimeNs advanced_at_ = 0;
  // Of the request being handled: reload() passes them through the table.
  Release asked_release_ = Release::kCurrent;
  int asked_ = 0;
};

}  // namespace godwit::supervise
