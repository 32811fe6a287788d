#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "store/backend.h"
#include "store/postgresql/pool.h"
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
  };

  explicit PgBackend(Options options);
  ~PgBackend() override;

  [[nodiscard]] std::string name() const override { return "postgresql"; }
  void run(Mode mode, Reactor& home, Deadline deadline, Work work, Done done) override;
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
        : pool(loop, options, options.url, std::move(resolver)),
          lines(pool),
          convoy(pool, options.share_commits) {}
    Pool pool;
    Lines lines;
    Convoy convoy;
  };
  PerLoop& perLoop(Reactor& home);

  Task<Result<Verdict>> perform(PerLoop& mine, Unit& unit);
  Task<bool> beat(Pool& pool, Deadline deadline, bool write);
  void finished();

  // Set once
  const Options options_;
  const std::string node_;  // names this process's heartbeat row
  const std::shared_ptr<Resolver> resolver_;

  std::atomic<std::uint64_t> retried_{0};
  std::atomic<std::uint64_t> snapshots_{0};
  Doubts doubts_;
  std::mutex mu_;
  std::condition_variable idle_;
  std::unordered_map<Reactor*, std::unique_ptr<PerLoop>> loops_;  // guarded by mu_
  std::size_t running_ = 0;                                       // guarded by mu_
  bool stopping_ = false;                                         // guarded by mu_
};

}  // namespace godwit::store::postgresql
