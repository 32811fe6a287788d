#include "store/postgresql/convoy.h"

#include <algorithm>

#include "store/postgresql/sql.h"

namespace godwit::store::postgresql {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMaxTogether = 32;  // parcels of one transaction
// While one transaction syncs, the next is on its way (to the lock, on one list); a third would
// only wait there, or be smaller than it could be.
constexpr unsigned kMaxUnderWay = 2;
constexpr unsigned kMaxTrips = 3;  // with others; from then on alone
// What a list is held to be busy for after somebody else had its lock. One vain exchange in this
// time is what a list costs that two loops or nodes write to.
constexpr auto kBusy = 100ms;

std::string keyOf(const Ref& ref) { return ref.parent + '\n' + ref.resource; }

}  // namespace

struct Convoy::Arrival {
  Parcel& parcel;
  bool await_ready() const { return parcel.done; }
  void await_suspend(std::coroutine_handle<> h) { parcel.waiter = h; }
  void await_resume() const {}
};

void Convoy::settle(Parcel& parcel) {
  if (parcel.done) return;
  parcel.done = true;
  if (parcel.waiter) pool_.resumeSoon(std::exchange(parcel.waiter, {}));
}

void Convoy::fail(Parcel& parcel, const Failure& why, bool in_doubt) {
  if (parcel.done) return;
  parcel.why = why;
  parcel.in_doubt = in_doubt;
  settle(parcel);
}

Task<> Convoy::carry(const Ref& ref, ParcelPtr parcel) {
  auto& list = lists_[keyOf(ref)];
  if (!list) {
    list = std::make_shared<Destination>();
    list->ref = ref;
  }
  ++list->waiting;
  parcel->to = list;
  waiting_.push_back(parcel);
  auto late = [this, parcel] {
    Failure why;
    why.timeout = true;
    why.message = "deadline passed";
    // What has departed may still arrive.
    fail(*parcel, why, parcel->trips > 0);
  };
  auto timer = pool_.loop().timer(parcel->deadline, std::move(late));
  departSoon();
  Arrival arrival{*parcel};
  co_await arrival;
  timer.reset();
}

// Not before the loop is done with what it does now, which may bring more parcels.
void Convoy::departSoon() {
  if (departing_) return;
  departing_ = true;
  pool_.loop().post([this, alive = alive_] {
    if (!*alive) return;
    departing_ = false;
    depart();
  });
}

void Convoy::depart() {
  auto given_up = [](const ParcelPtr& p) {
    if (p->done) --p->to->waiting;
    return p->done;
  };
  std::erase_if(waiting_, given_up);
  for (;;) {
    Load load = byThemselves();
    if (load.parcels.empty()) load = together();
    if (load.parcels.empty()) break;
    start(std::move(load));
  }
  std::erase_if(lists_, [](const auto& l) { return l.second->waiting + l.second->trips == 0; });
}

void Convoy::take(Load& load, std::deque<ParcelPtr>::iterator& next) {
  ParcelPtr parcel = std::move(*next);
  next = waiting_.erase(next);
  --parcel->to->waiting;
  if (std::find(load.lists.begin(), load.lists.end(), parcel->to) == load.lists.end()) {
    load.lists.push_back(parcel->to);
  }
  load.parcels.push_back(std::move(parcel));
}

// The first that may go with its own list only, and those that may go with it.
Convoy::Load Convoy::byThemselves() {
  auto now = Deadline::Clock::now();
  Load load;
  load.waits = true;
  bool crowd = true;
  for (auto next = waiting_.begin(); next != waiting_.end();) {
    Parcel& p = **next;
    bool alone = !together_ || p.trips >= kMaxTrips;
    bool fits;
    if (!load.parcels.empty()) {
      const Parcel& first = *load.parcels.front();
      fits = crowd && !alone && p.to == first.to && p.timeout_ms == first.timeout_ms &&
             load.parcels.size() < kMaxTogether;
    } else {
      // Where there is one list, the next transaction waits for its lock while the last one syncs.
      bool own = alone || p.to->busy_until > now || (lists_.size() == 1 && p.to->trips > 0);
      fits = own && (!together_ || p.to->trips < kMaxUnderWay);
      if (fits) crowd = !alone;
    }
    if (fits) {
      take(load, next);
    } else {
      ++next;
    }
    if (!crowd) break;
  }
  return load;
}

// Those whose lists nobody is known to write to.
Convoy::Load Convoy::together() {
  Load load;
  if (!together_ || under_way_ >= kMaxUnderWay) return load;
  auto now = Deadline::Clock::now();
  for (auto next = waiting_.begin();
       next != waiting_.end() && load.parcels.size() < kMaxTogether;) {
    Parcel& p = **next;
    bool fits = p.trips < kMaxTrips && p.to->trips == 0 && p.to->busy_until <= now &&
                (load.parcels.empty() || p.timeout_ms == load.parcels.front()->timeout_ms);
    if (fits) {
      take(load, next);
    } else {
      ++next;
    }
  }
  return load;
}

void Convoy::start(Load load) {
  bool waits = load.waits;
  if (!waits) ++under_way_;
  auto lists = load.lists;
  for (const auto& list : lists) ++list->trips;
  auto ended = [this, waits, lists = std::move(lists)](std::exception_ptr) {
    if (!waits) --under_way_;
    for (const auto& list : lists) --list->trips;
    departSoon();
  };
  spawn(travel(std::move(load)), std::move(ended));
}

CommandPtr Convoy::put(Lease& lease, std::string_view sql, Params params, Deadline deadline) {
  auto command = std::make_shared<Command>(pool_.catalog().get(sql), std::move(params), deadline);
  lease->send(command);
  return command;
}

// The lock of the list, or of all lists or none.
CommandPtr Convoy::lock(Lease& lease, const Load& load, Deadline deadline) {
  Params keys;
  if (load.waits) {
    const Ref& ref = load.lists.front()->ref;
    keys.ownText(ref.parent).ownText(ref.resource);
    return put(lease, sql::kLockList, std::move(keys), deadline);
  }
  std::vector<std::string_view> parents;
  std::vector<std::string_view> resources;
  for (const auto& list : load.lists) {
    parents.push_back(list->ref.parent);
    resources.push_back(list->ref.resource);
  }
  keys.texts(parents).texts(resources);
  return put(lease, sql::kTryLists, std::move(keys), deadline);
}

Task<> Convoy::travel(Load load) {
  auto& parcels = load.parcels;
  Deadline latest = parcels.front()->deadline;
  for (const auto& p : parcels) {
    if (p->deadline.when() > latest.when()) latest = p->deadline;
  }
  auto leased = co_await pool_.acquire(latest);
  if (!leased.ok()) {
    Failure why;
    why.message = leased.error().detail.empty() ? leased.error().message : leased.error().detail;
    why.refused = true;
    for (const auto& p : parcels) fail(*p, why, false);
    co_return;
  }
  Lease lease = std::move(*leased);
  auto given_up = [](const ParcelPtr& p) { return p->done; };
  std::erase_if(parcels, given_up);
  if (parcels.empty()) co_return;
  for (const auto& p : parcels) {
    ++p->trips;
    p->backend_pid = lease->backendPid();
    p->command->deadline = latest;
  }
  pool_.limitStatements(lease, parcels.front()->timeout_ms);
  co_await exchange(lease, load);
  // Whoever is not settled now was not to blame.
  for (auto it = parcels.rbegin(); it != parcels.rend(); ++it) {
    Parcel& p = **it;
    if (p.done) continue;
    auto again =
        std::make_shared<Command>(p.command->statement, std::move(p.command->params), p.deadline);
    p.command = std::move(again);
    ++p.to->waiting;
    waiting_.push_front(std::move(*it));
  }
}

// Settles every parcel that needs no other trip.
Task<> Convoy::exchange(Lease& lease, Load& trip) {
  auto& load = trip.parcels;
  Deadline deadline = load.front()->command->deadline;
  bool one_go = std::all_of(load.begin(), load.end(), [](const auto& p) { return p->fresh; });
  put(lease, sql::kBegin, Params(), deadline);
  CommandPtr locked = lock(lease, trip, deadline);
  for (const auto& p : load) lease->send(p->command);
  CommandPtr commit;
  if (one_go) commit = put(lease, sql::kCommit, Params(), deadline);
  lease->sync();
  pool_.flush(*lease.operator->());
  CommandPtr last = commit ? commit : load.back()->command;
  Answered answered(*last);
  co_await answered;

  // A statement that failed with an answer: nothing has been committed.
  const Command* culprit = nullptr;
  if (!locked->reply.ok() && !locked->skipped) culprit = locked.get();
  for (const auto& p : load) {
    if (!culprit && !p->command->reply.ok() && !p->command->skipped) culprit = p->command.get();
  }
  if (!culprit && commit && !commit->reply.ok() && !commit->skipped) culprit = commit.get();
  if (!culprit && !commit && last->reply.ok()) {
    if (!lease->ready()) {
      Failure lost;
      lost.lost = true;
      lost.message = "the connection was lost before the commit";
      for (const auto& p : load) fail(*p, lost, false);
      co_return;
    }
    commit = put(lease, sql::kCommit, Params(), deadline);
    lease->sync();
    pool_.flush(*lease.operator->());
    Answered done(*commit);
    co_await done;
    if (!commit->reply.ok()) culprit = commit.get();
  }
  if (!culprit && commit && commit->reply.ok() && commit->reply.tag() == "COMMIT") {
    for (const auto& p : load) {
      p->committed = true;
      settle(*p);
    }
    co_return;
  }
  Failure why;
  why.message = "the server rolled back instead of committing";
  if (culprit) why = culprit->reply.failure();
  bool answer = !why.lost && !why.timeout && !why.is("57014");
  if (!answer) {
    // Without COMMIT sent the server undoes what it did.
    bool sent = commit != nullptr;
    for (const auto& p : load) fail(*p, why, sent);
    co_return;
  }
  bool busy = !trip.waits && culprit == locked.get() && why.is("22012");
  if (busy) {
    auto until = Deadline::Clock::now() + kBusy;
    for (const auto& list : trip.lists) list->busy_until = until;
    for (const auto& p : load) --p->trips;  // it has not been tried
  }
  for (const auto& p : load) {
    if (!busy && (p->command.get() == culprit || load.size() == 1)) fail(*p, why, false);
  }
  if (busy) {
    // They go again.
  } else if (culprit == locked.get() || (commit && culprit == commit.get()) || !culprit) {
    // Nobody's own fault; units look for themselves whether to try again.
    for (const auto& p : load) fail(*p, why, false);
  }
  if (!lease->ready()) co_return;
  CommandPtr undone = put(lease, sql::kRollback, Params(), deadline);
  lease->sync();
  pool_.flush(*lease.operator->());
  Answered waiting(*undone);
  co_await waiting;
}

}  // namespace godwit::store::postgresql
