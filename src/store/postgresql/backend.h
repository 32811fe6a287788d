#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "store/backend.h"
#include "store/postgresql/pool.h"
#include "store/postgresql/replica.h"
#include "store/postgresql/session.h"

namespace godwit::store::postgresql {

// The storage and permission backend on PostgreSQL, in Kinto's schema. Any number of these, in any
// number of processes, may share a database. Every Reactor that calls it gets a pool of its own,
// opened when first needed; the reactors must run until stop() has returned.
class PgBackend final : public Backend {
 public:
  struct Counters {
    Pool::Stats pool;             // summed over the loops
    std::uint64_t retried = 0;    // units of work run again
    std::uint64_t snapshots = 0;  // of reads, for a second statement
    std::uint64_t in_doubt = 0;   // commits without an answer
    std::uint64_t resolved = 0;   // of these, how many were settled within their deadline
    std::uint64_t nearby = 0;     // units that a replica answered
  };

  explicit PgBackend(Options options);
  ~PgBackend() override;

  [[nodiscard]] std::string name() const override { return "postgresql"; }
  void run(Mode mode, Reactor& home, Deadline deadline, Work work, Done done) override;
  // On the replica of Options::read_url, when it is up and no further behind than allowed.
  void runNearby(Mode mode, Reactor& home, Deadline deadline, Work work, Done done) override;
  void ping(Reactor& home, Deadline deadline, bool write, std::function<void(bool)> done) override;
  void stop(Deadline deadline) override;

  // As of now, loops that are busy excepted. Call on `home`'s thread.
  [[nodiscard]] Counters counters(Reactor& home);
  // The pool of a loop, for the other users of this database. Call on `home`'s thread.
  Pool& pool(Reactor& home);

 private:
  struct Unit;
  struct PerLoop {
    PerLoop(Reactor& loop, const Options& options, std::shared_ptr<Resolver> resolver)
        : pool(loop, options, options.url, resolver),
          lines(pool),
          convoy(pool, options.share_commits) {
      if (!options.read_url.empty()) {
        replica = std::make_unique<Replica>(loop, options, std::move(resolver), pool);
      }
    }
    Pool pool;
    Lines lines;
    Convoy convoy;
    std::unique_ptr<Replica> replica;
  };
  PerLoop& perLoop(Reactor& home);
  PerLoop* perLoopLocked(Reactor& home);  // REQUIRES mu_

  void start(PerLoop& mine, Pool& pool, std::shared_ptr<Unit> unit);
  Task<Result<Verdict>> perform(PerLoop& mine, Pool& pool, Unit& unit);
  Task<bool> beat(Pool& pool, Deadline deadline, bool write);
  void finished();

  // Set once
  const Options options_;
  const std::string node_;  // names this process's heartbeat row
  const std::shared_ptr<Resolver> resolver_;

  std::atomic<std::uint64_t> retried_{0};
  std::atomic<std::uint64_t> snapshots_{0};
  std::atomic<std::uint64_t> nearby_{0};
  Doubts doubts_;
  std::mutex mu_;
  std::condition_variable idle_;
  std::unordered_map<Reactor*, std::unique_ptr<PerLoop>> loops_;  // guarded by mu_
  std::size_t running_ = 0;                                       // guarded by mu_
  bool stopping_ = false;                                         // guarded by mu_
};

}  // namespace godwit::store::postgresql
