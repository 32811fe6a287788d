#include "store/postgresql/backend.h"

#include <algorithm>
#include <exception>
#include <optional>

#include "base/log.h"
#include "base/random.h"
#include "store/postgresql/pause.h"
#include "store/postgresql/session.h"

namespace godwit::store::postgresql {

namespace {

using namespace std::chrono_literals;

constexpr unsigned kMaxAttempts = 12;   // of one unit of work
constexpr unsigned kOptimistic = 2;     // attempts before it locks what it reads
constexpr unsigned kMaxReconnects = 3;  // attempts after a connection was lost
constexpr auto kMaxPause = 100ms;

}  // namespace

struct PgBackend::Unit {
  Mode mode;
  Reactor& home;
  Deadline deadline;
  Work work;
  Done done;
};

PgBackend::PgBackend(Options options)
    : options_(std::move(options)), node_(randomHex(8)), resolver_(std::make_shared<Resolver>()) {}

PgBackend::~PgBackend() { stop(Deadline::after(5s)); }

PgBackend::PerLoop& PgBackend::perLoop(Reactor& home) {
  std::lock_guard lock(mu_);
  return *perLoopLocked(home);
}

PgBackend::PerLoop* PgBackend::perLoopLocked(Reactor& home) {
  auto& slot = loops_[&home];
  if (!slot) slot = std::make_unique<PerLoop>(home, options_, resolver_);
  return slot.get();
}

Pool& PgBackend::pool(Reactor& home) { return perLoop(home).pool; }

void PgBackend::finished() {
  std::lock_guard lock(mu_);
  if (--running_ == 0) idle_.notify_all();
}

void PgBackend::run(Mode mode, Reactor& home, Deadline deadline, Work work, Done done) {
  {
    std::lock_guard lock(mu_);
    if (stopping_) {
      home.post([done = std::move(done)] {
        done(Error(ErrorCode::kUnavailable, "The database is unavailable", "stopping"));
      });
      return;
    }
    ++running_;
  }
  PerLoop& mine = perLoop(home);
  auto unit = std::make_shared<Unit>(Unit{mode, home, deadline, std::move(work), std::move(done)});
  start(mine, mine.pool, std::move(unit));
}

void PgBackend::runNearby(Mode mode, Reactor& home, Deadline deadline, Work work, Done done) {
  PerLoop* mine = nullptr;
  if (!options_.read_url.empty() && mode != Mode::kWrite) {
    std::lock_guard lock(mu_);
    if (!stopping_) ++running_;
    if (!stopping_) mine = perLoopLocked(home);
  }
  if (!mine) return run(mode, home, deadline, std::move(work), std::move(done));
  if (!mine->replica->fresh()) {
    run(mode, home, deadline, std::move(work), std::move(done));
    return finished();
  }
  // What goes wrong there is done again here.
  auto again = [this, mode, &home, deadline, work, done = std::move(done)](Result<Verdict> r) {
    bool away = !r.ok() && (r.error().code == ErrorCode::kUnavailable ||
                            r.error().code == ErrorCode::kTimeout);
    if (!away) ++nearby_;
    if (away && !deadline.expired()) return run(mode, home, deadline, work, done);
    done(std::move(r));
  };
  // Leaves time for that.
  auto half = Deadline::after(std::min<Deadline::Clock::duration>(deadline.remaining() / 2, 5s));
  auto unit = std::make_shared<Unit>(Unit{mode, home, half, std::move(work), std::move(again)});
  start(*mine, mine->replica->pool(), std::move(unit));
}

void PgBackend::start(PerLoop& mine, Pool& pool, std::shared_ptr<Unit> unit) {
  // Not from inside run(): a refusal would otherwise answer before the caller is ready for it.
  auto finish = [this, unit](std::exception_ptr ex, std::optional<Result<Verdict>> verdict) {
    Result<Verdict> answer = Error(ErrorCode::kInternal, "internal error", "a unit of work threw");
    if (!ex && verdict) answer = std::move(*verdict);
    unit->home.post([this, unit, answer = std::move(answer)]() mutable {
      auto call = std::move(unit->done);
      unit->work = nullptr;
      call(std::move(answer));
      finished();
    });
  };
  spawn(perform(mine, pool, *unit), std::move(finish));
}

Task<Result<Verdict>> PgBackend::perform(PerLoop& mine, Pool& pool, Unit& unit) {
  Lines* lines = options_.share_commits ? &mine.lines : nullptr;
  if (unit.deadline.expired()) {
    co_return Error(ErrorCode::kTimeout, "The database did not answer in time", "deadline passed");
  }
  unsigned reconnects = 0;
  bool snapshot = false;
  for (unsigned attempt = 1;; ++attempt) {
    auto manner = PgSession::Manner::kOptimistic;
    if (unit.mode != Mode::kWrite && snapshot) manner = PgSession::Manner::kSnapshot;
    if (unit.mode == Mode::kWrite && attempt > kOptimistic) {
      manner = PgSession::Manner::kPessimistic;
    }
    PgSession session(pool, lines, mine.convoy, doubts_, unit.mode, manner, unit.deadline,
                      options_.max_fetch_size);
    std::optional<Verdict> verdict;
    std::string thrown;
    try {
      Task<Verdict> task = unit.work(session);
      verdict.emplace(co_await task);
    } catch (const std::exception& e) {
      thrown = e.what();
    } catch (...) {
      thrown = "not a std::exception";
    }
    if (!verdict) {
      co_await session.rollback();
      co_return Error(ErrorCode::kInternal, "internal error", "a unit of work threw: " + thrown);
    }
    // A unit may end for its own reasons after a failure; a failure that another attempt may cure
    // comes first, since what the unit then saw was not the truth.
    bool failed = session.failure().has_value();
    if (session.committed()) {
      if (*verdict == Verdict::kCommit) co_return Verdict::kCommit;
      co_return Error(ErrorCode::kInternal, "internal error",
                      "a unit of work went back on what it had called its last change");
    }
    if (!failed && *verdict == Verdict::kRollback) {
      co_await session.rollback();
      if (session.metNeedsWrite()) {
        co_return Error(ErrorCode::kNeedsWrite, "this changes something");
      }
      co_return Verdict::kRollback;
    }
    Result<void> committed;
    if (failed) {
      co_await session.rollback();
      committed = toError(*session.failure());
    } else {
      committed = co_await session.commit();
    }
    if (committed.ok()) co_return Verdict::kCommit;

    Failure why;
    if (session.failure()) why = *session.failure();
    bool again = why.retryable();
    if (why.is(kNeedsSnapshot)) {
      snapshot = true;
      ++snapshots_;
      continue;
    }
    if (session.inDoubt()) {
      InDoubt doubt = *session.inDoubt();
      Outcome outcome = co_await doubts_.settle(mine.pool, std::move(doubt), unit.deadline);
      if (outcome.kind == Outcome::Kind::kCommitted) co_return Verdict::kCommit;
      if (outcome.kind == Outcome::Kind::kUnknown) {
        why.unknown = true;
        co_return toError(why);
      }
      again = true;
    } else if (why.lost && !why.timeout && !why.unknown) {
      // Lost before its COMMIT was sent: the server rolls back.
      again = ++reconnects <= kMaxReconnects;
    }
    if (!again || attempt >= kMaxAttempts || unit.deadline.expired()) {
      if (again && why.retryable()) {
        co_return Error(ErrorCode::kUnavailable, "Too many concurrent changes", why.message);
      }
      co_return std::move(committed).error();
    }
    ++retried_;
    auto most = std::min<std::chrono::milliseconds>(kMaxPause, 1ms * (1 << std::min(attempt, 7u)));
    auto drawn = randomBelow(static_cast<std::uint64_t>(most.count()) + 1);
    Pause waiting(unit.home, std::chrono::milliseconds(drawn));
    co_await waiting;
  }
}

void PgBackend::ping(Reactor& home, Deadline deadline, bool write, std::function<void(bool)> done) {
  {
    std::lock_guard lock(mu_);
    if (stopping_) {
      home.post([done = std::move(done)] { done(false); });
      return;
    }
    ++running_;
  }
  Pool& mine = pool(home);
  auto finish = [this, &home, done = std::move(done)](std::exception_ptr ex,
                                                      std::optional<bool> alive) {
    bool answer = !ex && alive && *alive;
    home.post([this, done, answer] {
      done(answer);
      finished();
    });
  };
  spawn(beat(mine, deadline, write), std::move(finish));
}

Task<bool> PgBackend::beat(Pool& pool, Deadline deadline, bool write) {
  auto lease = co_await pool.acquire(deadline);
  if (!lease.ok()) co_return false;
  Params p;
  if (write) p.text(node_);
  auto command = std::make_shared<Command>(pool.catalog().get(write ? sql::kBeat : sql::kPing),
                                           std::move(p), deadline);
  (*lease)->send(command);
  (*lease)->sync();
  pool.flush(*lease->operator->());
  Answered answered(*command);
  co_await answered;
  if (!command->reply.ok()) {
    log::warn("heartbeat failed",
              {{"backend", "postgresql"}, {"reason", command->reply.failure().message}});
  }
  co_return command->reply.ok();
}

PgBackend::Counters PgBackend::counters(Reactor& home) {
  Counters out;
  out.pool = pool(home).stats();
  out.retried = retried_;
  out.snapshots = snapshots_;
  out.in_doubt = doubts_.met();
  out.resolved = doubts_.resolved();
  out.nearby = nearby_;
  return out;
}

void PgBackend::stop(Deadline deadline) {
  std::unordered_map<Reactor*, std::unique_ptr<PerLoop>> pools;
  {
    std::unique_lock lock(mu_);
    stopping_ = true;
    if (loops_.empty()) return;
    auto drained = [this] { return running_ == 0; };
    if (deadline.isNever()) {
      idle_.wait(lock, drained);
    } else if (!idle_.wait_until(lock, deadline.when(), drained)) {
      log::warn("database work abandoned at stop", {{"units", running_}});
    }
    pools.swap(loops_);
  }
  // Each pool ends on its own loop. One whose loop no longer runs is left to the process's end.
  struct Left {
    std::mutex mu;
    std::condition_variable gone;
    std::size_t count = 0;
  };
  auto left = std::make_shared<Left>();
  left->count = pools.size();
  for (auto& [home, one] : pools) {
    auto end = [](std::unique_ptr<PerLoop>& mine) {
      mine->pool.stop();
      if (mine->replica) mine->replica->pool().stop();
      mine.reset();
    };
    if (home->onThread()) {
      // Called by the loop's own thread, once the loop has ended: what is posted waits for us.
      end(one);
      std::lock_guard lock(left->mu);
      --left->count;
      continue;
    }
    home->post([mine = std::move(one), left, end]() mutable {
      end(mine);
      std::lock_guard lock(left->mu);
      --left->count;
      left->gone.notify_all();
    });
  }
  std::unique_lock lock(left->mu);
  auto until = deadline.isNever() ? Deadline::after(5s) : Deadline::after(1s);
  left->gone.wait_until(lock, until.when(), [&] { return left->count == 0; });
}

}  // namespace godwit::store::postgresql
