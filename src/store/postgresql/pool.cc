#include "store/postgresql/pool.h"

#include <algorithm>

#include "base/log.h"
#include "base/random.h"

namespace godwit::store::postgresql {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t kGroup = 64;        // reads per Sync: what one failure makes us send again
constexpr std::size_t kLaneDepth = 1024;  // reads in flight
constexpr auto kBusyTick = 25ms;          // how late a deadline may be noticed
constexpr auto kIdleTick = 1000ms;        // housekeeping
constexpr auto kSilence = 1000ms;         // a lane this quiet with a read too late is given up
constexpr auto kTcpTimeout = 1000ms;      // SYNs back off; a new attempt is sooner than the next
constexpr auto kFirstBackoff = 25ms;
constexpr auto kMaxBackoff = 400ms;
constexpr auto kOverflowIdle = 5s;  // an overflow connection unused this long is closed
constexpr const char* kApplication = "godwit";

}  // namespace

Lease& Lease::operator=(Lease&& other) noexcept {
  if (this != &other) {
    release();
    pool_ = std::exchange(other.pool_, nullptr);
    connection_ = std::exchange(other.connection_, nullptr);
  }
  return *this;
}

void Lease::release() {
  if (connection_) pool_->giveBack(*std::exchange(connection_, nullptr));
}

void Lease::releaseWhenAnswered() {
  if (connection_) pool_->giveBackWhenAnswered(*std::exchange(connection_, nullptr));
}

Pool::Pool(Reactor& loop, const Options& options, const std::string& url,
           std::shared_ptr<Resolver> resolver)
    : loop_(loop),
      options_(options),
      url_(url),
      resolver_(std::move(resolver)),
      alive_(std::make_shared<bool>(true)) {}

Pool::~Pool() { *alive_ = false; }

Pool::Stats Pool::stats() const {
  Stats s = stats_;
  s.open = connections_.size() + resolving_;
  s.waiting = waiters_.size();
  s.reads = looks_.size() + reads_.size();
  if (lane_) lane_->forEachUnanswered([&s](const Command&) { ++s.reads; });
  for (const auto& c : connections_) s.leased += c->leased ? 1 : 0;
  return s;
}

// --- Callers

struct Pool::Waiting {
  Pool& pool;
  Waiter& waiter;
  bool await_ready() const { return waiter.got || !waiter.why.message.empty(); }
  void await_suspend(std::coroutine_handle<> h) { waiter.handle = h; }
  void await_resume() const {}
};

Task<Result<Lease>> Pool::acquire(Deadline deadline) {
  auto now = Deadline::Clock::now();
  Waiter waiter;
  waiter.until = deadline.earlier(Deadline::at(now + options_.pool_timeout));
  if (stopped_ || (idle_.empty() && (refusing(now) || waiters_.size() >= options_.max_backlog))) {
    ++stats_.refused;
    waiter.why = refusal();
    arm();
  } else {
    waiters_.push_back(&waiter);
    serveWaiters();
    provision();
    arm();
  }
  Waiting waiting{*this, waiter};
  co_await waiting;
  if (!waiter.got) co_return toError(waiter.why);
  co_return Lease(*this, *waiter.got);
}

void Pool::limitStatements(Lease& lease, int timeout_ms) {
  if (lease->timeout_ms == timeout_ms || !lease->ready()) return;
  lease->timeout_ms = timeout_ms;
  // In a group of its own: within a transaction that rolls back it would be undone.
  Params p;
  p.ownText(std::to_string(timeout_ms));
  auto statement = catalog_.get("SELECT set_config('statement_timeout', $1, false)");
  lease->send(std::make_shared<Command>(std::move(statement), std::move(p), Deadline::never()));
  lease->sync();
}

void Pool::flush(Connection& c) {
  c.flush();
  arm();
}

void Pool::stop() {
  stopped_ = true;
  for (auto* c : std::exchange(idle_, {})) bury(*c);
  if (lane_ && lane_->pending() == 0 && !readsWaiting()) bury(*std::exchange(lane_, nullptr));
}

// --- Answers

void Pool::onTurn(Connection& c) {
  if (c.returning) giveBackWhenAnswered(c);
  drain();
}

void Pool::later() {
  if (later_ || draining_) return;
  later_ = true;
  loop_.post([this, alive = alive_] {
    if (!*alive) return;
    later_ = false;
    drain();
  });
}

// Resumes whoever has an answer, then sends what they asked for next, as one group.
void Pool::drain() {
  if (draining_) return;
  draining_ = true;
  auto alive = alive_;
  std::vector<std::coroutine_handle<>> now;
  while (!resume_.empty()) {
    now.swap(resume_);
    for (auto h : now) {
      h.resume();
      if (!*alive) return;
    }
    now.clear();
  }
  draining_ = false;
  serveWaiters();
  sendReads();
  provision();
  if (!resume_.empty()) later();
}

// --- Leases

void Pool::serveWaiters() {
  while (!waiters_.empty() && !idle_.empty()) {
    Connection* c = idle_.back();
    idle_.pop_back();
    if (!c->idle()) {
      bury(*c);
      continue;
    }
    Waiter* w = waiters_.front();
    waiters_.pop_front();
    c->leased = true;
    w->got = c;
    if (w->handle) {
      resume_.push_back(w->handle);
      later();
    }
  }
}

void Pool::giveBack(Connection& c) {
  c.leased = false;
  bool old =
      options_.pool_recycle >= 0ms && Deadline::Clock::now() - c.created() > options_.pool_recycle;
  if (stopped_ || old || !c.idle()) {
    bury(c);
    later();
    return;
  }
  makeAvailable(c);
}

void Pool::giveBackWhenAnswered(Connection& c) {
  c.returning = c.ready() && c.pending() > 0;
  if (c.returning) {
    c.leased = false;
  } else {
    giveBack(c);
  }
}

void Pool::makeAvailable(Connection& c) {
  c.idle_since = Deadline::Clock::now();
  idle_.push_back(&c);
  serveWaiters();
}

// Closes it; the object goes once the loop is out of our (and its) functions.
void Pool::bury(Connection& c) {
  if (lane_ == &c) lane_ = nullptr;
  std::erase(idle_, &c);
  auto lost = c.close();
  Failure why = last_failure_;
  why.lost = true;
  if (why.message.empty()) why.message = "connection given up";
  for (auto& command : lost) lose(c, std::move(command), why);
  auto it = std::find_if(connections_.begin(), connections_.end(),
                         [&](const auto& p) { return p.get() == &c; });
  if (it == connections_.end()) return;
  // Still somebody's: a lease keeps its connection, dead or not, until it is given back.
  if (c.leased) return;
  buried_.push_back(std::move(*it));
  connections_.erase(it);
  if (buried_.size() == 1) {
    loop_.post([this, alive = alive_] {
      if (*alive) buried_.clear();
    });
  }
}

// --- Connecting

bool Pool::refusing(Time now) const {
  return down_since_ && now - *down_since_ > options_.ride_through;
}

Failure Pool::refusal() const {
  Failure why = last_failure_;
  why.lost = true;
  if (why.message.empty()) why.message = stopped_ ? "stopping" : "too many waiting";
  return why;
}

void Pool::provision() {
  if (stopped_) return;
  std::size_t limit = std::max<std::size_t>(2, options_.pool_size + options_.max_overflow);
  std::size_t want = waiters_.size() + (lane_ ? 0 : 1);
  // While the database is away one attempt goes on even when nobody asks: recovery waits for none.
  if (!readsWaiting() && waiters_.empty() && !down_since_) want = 0;
  auto now = Deadline::Clock::now();
  while (want > connecting_ && connections_.size() + resolving_ < limit && now >= retry_at_ &&
         (failures_ == 0 || connecting_ == 0)) {
    open();
  }
}

void Pool::open() {
  ++connecting_;
  ++resolving_;
  resolver_->resolve(url_, loop_, [this, alive = alive_](Result<Overrides> found) {
    if (!*alive) return;
    --resolving_;
    auto c = std::make_unique<Connection>(loop_, static_cast<Owner&>(*this), kApplication);
    Connection& made = *c;
    connections_.push_back(std::move(c));
    if (!found.ok()) {
      Failure why;
      why.lost = true;
      why.message = found.error().detail;
      made.close();
      onClosed(made, why, {});
      return;
    }
    made.connect(url_, *found);
    arm();
  });
  arm();
}

void Pool::onReady(Connection& c) {
  --connecting_;
  ++stats_.connects;
  if (down_since_) {
    log::info("database is back", {{"url", publicUrl(url_)}, {"attempts", failures_}});
  }
  failures_ = 0;
  down_since_.reset();
  last_failure_ = Failure();
  if (stopped_) return bury(c);
  if (!lane_) {
    lane_ = &c;
    c.lane = true;
  } else {
    makeAvailable(c);
  }
  later();
}

void Pool::onClosed(Connection& c, const Failure& why, std::deque<CommandPtr> lost) {
  bool was_connecting = !c.everReady();
  ++stats_.failures;
  last_failure_ = why;
  last_failure_.lost = true;
  for (auto& command : lost) lose(c, std::move(command), last_failure_);
  if (was_connecting) {
    --connecting_;
    ++failures_;
    auto backoff = std::min<std::chrono::milliseconds>(
        kMaxBackoff, kFirstBackoff * (1 << std::min(failures_ - 1, 6u)));
    // Half of it is drawn, so that many nodes do not return in step.
    auto drawn =
        std::chrono::milliseconds(randomBelow(static_cast<std::uint64_t>(backoff.count() / 2) + 1));
    retry_at_ = Deadline::Clock::now() + backoff / 2 + drawn;
  }
  bury(c);
  bool any = std::any_of(connections_.begin(), connections_.end(),
                         [](const auto& p) { return p->ready(); });
  if (!any && !down_since_) {
    down_since_ = Deadline::Clock::now();
    log::warn("database is away", {{"url", publicUrl(url_)}, {"reason", why.message}});
  }
  arm();
  later();
}

// --- Deadlines

void Pool::arm() {
  bool busy = readsWaiting() || !waiters_.empty() || connecting_ > 0 || down_since_.has_value() ||
              (lane_ && lane_->pending() > 0) ||
              std::any_of(connections_.begin(), connections_.end(),
                          [](const auto& c) { return c->leased; });
  if (timer_ && (timer_fast_ || !busy)) return;
  timer_fast_ = busy;
  timer_ = loop_.timer(Deadline::after(busy ? kBusyTick : kIdleTick), [this] {
    auto spent = std::move(timer_);  // lives until we return
    sweep();
  });
}

void Pool::sweep() {
  auto now = Deadline::Clock::now();
  sweepReads(now);
  sweepWaiters(now);
  sweepConnections(now);
  drain();
  arm();
}

void Pool::sweepReads(Time now) {
  bool refuse = refusing(now);
  Failure late;
  late.timeout = true;
  late.message = "deadline passed";
  for (auto* waiting : {&looks_, &reads_}) {
    for (auto& command : *waiting) {
      if (command->done) continue;
      if (refuse) {
        ++stats_.refused;
        finish(*command, Reply(refusal()));
      } else if (command->deadline.when() <= now) {
        ++stats_.timeouts;
        finish(*command, Reply(lane_ ? late : refusal()));
      }
    }
    std::erase_if(*waiting, [](const auto& c) { return c->done; });
  }
}

void Pool::sweepWaiters(Time now) {
  bool refuse = refusing(now);
  // Connections exist but none may be had: say so after the same patience.
  for (auto it = waiters_.begin(); it != waiters_.end();) {
    Waiter* w = *it;
    bool hopeless = refuse || (failures_ > 0 && now - w->since > options_.ride_through);
    if (!hopeless && w->until.when() > now) {
      ++it;
      continue;
    }
    ++(hopeless ? stats_.refused : stats_.timeouts);
    w->why = refusal();
    if (w->why.message == "too many waiting") w->why.message = "no connection became free in time";
    if (w->handle) resume_.push_back(w->handle);
    it = waiters_.erase(it);
  }
}

void Pool::sweepConnections(Time now) {
  Failure late;
  late.timeout = true;
  late.lost = true;
  late.message = "deadline passed";
  std::vector<Connection*> dead;
  std::size_t kept = lane_ ? 1 : 0;
  for (auto& p : connections_) {
    Connection& c = *p;
    if (c.state() == Connection::State::kConnecting) {
      auto age = now - c.created();
      if (age > options_.connect_timeout || (age > kTcpTimeout && !c.tcpEstablished())) {
        dead.push_back(&c);
      }
      continue;
    }
    if (!c.ready()) continue;
    bool expired = false;
    c.forEachUnanswered([&](Command& command) {
      if (command.done ? c.lane : command.deadline.when() <= now) expired = true;
      if (!command.done && command.deadline.when() <= now) {
        ++stats_.timeouts;
        finish(command, Reply(late));
      }
    });
    auto quiet = now - std::max(c.lastHeard(), c.waitingSince());
    // A statement too late on a lease leaves the session in an unknown state. A lane that answers
    // others is only slow; one that says nothing at all is dead.
    if (expired && (!c.lane || quiet > kSilence)) dead.push_back(&c);
    if (c.leased || c.lane || expired || !c.idle()) continue;
    ++kept;
    bool old = options_.pool_recycle >= 0ms && now - c.created() > options_.pool_recycle;
    bool extra = kept > options_.pool_size && now - c.idle_since > kOverflowIdle;
    if (old || extra) dead.push_back(&c);
  }
  if (lane_ && options_.pool_recycle >= 0ms && lane_->idle() &&
      now - lane_->created() > options_.pool_recycle) {
    dead.push_back(lane_);
  }
  for (auto* c : dead) {
    if (c->state() == Connection::State::kConnecting) {
      Failure why;
      why.lost = true;
      why.message = "connecting takes too long";
      c->close();
      onClosed(*c, why, {});
    } else {
      bury(*c);
    }
  }
}

}  // namespace godwit::store::postgresql
