#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/reactor.h"
#include "base/task.h"
#include "store/postgresql/connection.h"
#include "store/postgresql/options.h"
#include "store/postgresql/resolver.h"

namespace godwit::store::postgresql {

class Pool;

// A connection that one unit of work has for itself. Gives it back when destroyed; one that is in a
// transaction or awaits an answer then is closed instead. Must not outlive its pool.
class Lease {
 public:
  Lease() = default;
  Lease(Pool& pool, Connection& c) : pool_(&pool), connection_(&c) {}
  Lease(Lease&& other) noexcept { *this = std::move(other); }
  Lease& operator=(Lease&& other) noexcept;
  ~Lease() { release(); }

  void release();
  // The same once what was sent has been answered, without waiting for it.
  void releaseWhenAnswered();
  explicit operator bool() const { return connection_ != nullptr; }
  Connection* operator->() const { return connection_; }

 private:
  Pool* pool_ = nullptr;
  Connection* connection_ = nullptr;
};

// The connections of one event loop to one database. Loop thread only, construction included.
//
// Reads by key share one pipelined connection, the lane: what is asked for within one turn of the
// loop leaves with one Sync, and the looks among it as one statement. A read whose group failed is
// sent again alone; a read whose connection died is sent again on another. Everything else leases a
// connection.
//
// After a failure connections are tried one at a time, with jittered back-off, until one is up.
// Callers wait for that up to Options::ride_through; from then on they are refused at once.
class Pool final : private Connection::Owner {
 public:
  struct Stats {
    std::size_t open = 0;        // connections, those being set up included
    std::size_t leased = 0;      //
    std::size_t waiting = 0;     // callers of acquire()
    std::size_t reads = 0;       // reads not yet answered
    std::uint64_t connects = 0;  // since the start, as all below
    std::uint64_t failures = 0;  // connections that failed or were lost
    std::uint64_t reissued = 0;  // reads sent again
    std::uint64_t gathered = 0;  // looks sent with others in one statement
    std::uint64_t timeouts = 0;  // statements and waits ended by their deadline
    std::uint64_t refused = 0;   // callers turned away
  };

  Pool(Reactor& loop, const Options& options, const std::string& url,
       std::shared_ptr<Resolver> resolver);
  ~Pool() override;

  [[nodiscard]] Catalog& catalog() { return catalog_; }
  [[nodiscard]] Reactor& loop() { return loop_; }
  [[nodiscard]] Stats stats() const;

  // Sends a read that needs no session. Its command is done when answered, refused or too late.
  void read(CommandPtr command);
  // kUnavailable when none can be had in time.
  Task<Result<Lease>> acquire(Deadline deadline);
  // Sets the session's statement_timeout; what is sent next obeys it.
  void limitStatements(Lease& lease, int timeout_ms);
  // Sends what the caller has put into a leased connection.
  void flush(Connection& c);
  // Resumes a coroutine with the next that have an answer, not from inside.
  void resumeSoon(std::coroutine_handle<> h) {
    resume_.push_back(h);
    later();
  }
  // Refuses newcomers and closes what is idle.
  void stop();

 private:
  friend class Lease;
  using Time = Deadline::Clock::time_point;
  struct Waiter {
    Deadline until = Deadline::never();
    std::coroutine_handle<> handle;
    Connection* got = nullptr;
    Failure why;
    Time since = Deadline::Clock::now();
  };
  struct Waiting;

  void onReady(Connection& c) override;
  void onReply(Connection& c, CommandPtr command) override;
  void onTurn(Connection& c) override;
  void onClosed(Connection& c, const Failure& why, std::deque<CommandPtr> lost) override;

  void finish(Command& command, Reply reply);
  void finish(Command& command);
  void requeue(CommandPtr command, const Failure& why);
  void lose(Connection& c, CommandPtr command, const Failure& why);
  void disperse(Command& command, const Failure& why);
  [[nodiscard]] bool readsWaiting() const;
  void giveBack(Connection& c);
  void giveBackWhenAnswered(Connection& c);
  void serveWaiters();
  void makeAvailable(Connection& c);
  void bury(Connection& c);
  void provision();
  void open();
  void sendReads();
  void sendLooks();
  void later();  // runs drain() after what the loop does now
  void drain();
  void sweep();
  void arm();
  void sweepReads(Time now);
  void sweepWaiters(Time now);
  void sweepConnections(Time now);
  [[nodiscard]] bool refusing(Time now) const;
  [[nodiscard]] Failure refusal() const;

  // Set once
  Reactor& loop_;
  const Options options_;
  const std::string url_;
  const std::shared_ptr<Resolver> resolver_;  // shared by the pools of a backend
  const std::shared_ptr<bool> alive_;         // false once destroyed; for posted jobs

  // Loop thread only
  Catalog catalog_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<std::unique_ptr<Connection>> buried_;
  Connection* lane_ = nullptr;
  std::vector<Connection*> idle_;
  std::size_t connecting_ = 0;  // names being resolved included
  std::size_t resolving_ = 0;
  std::deque<CommandPtr> looks_;  // not sent yet
  std::deque<CommandPtr> reads_;  // the same, of other statements
  std::size_t gatherings_ = 0;    // statements for several looks that are on the lane
  std::deque<Waiter*> waiters_;
  std::vector<std::coroutine_handle<>> resume_;
  bool later_ = false;
  bool draining_ = false;
  bool stopped_ = false;
  unsigned failures_ = 0;  // in a row
  std::optional<Time> down_since_;
  Time retry_at_{};
  Failure last_failure_;
  std::unique_ptr<Reactor::Handle> timer_;
  bool timer_fast_ = false;
  Stats stats_;
};

}  // namespace godwit::store::postgresql
