#include "store/postgresql/convoy.h"

#include <algorithm>

#include "store/postgresql/sql.h"

namespace godwit::store::postgresql {

namespace {

constexpr std::size_t kMaxTogether = 32;  // parcels of one transaction
// While one transaction syncs, the next is on its way to the lock; a third would only wait there.
constexpr unsigned kMaxUnderWay = 2;
constexpr unsigned kMaxTrips = 3;  // with others; from then on alone

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
  auto& line = lines_[ref.parent + '\n' + ref.resource];
  if (!line) {
    line = std::make_shared<Line>();
    line->ref = ref;
  }
  line->waiting.push_back(parcel);
  auto late = [this, parcel] {
    Failure why;
    why.timeout = true;
    why.message = "deadline passed";
    // What has departed may still arrive.
    fail(*parcel, why, parcel->trips > 0);
  };
  auto timer = pool_.loop().timer(parcel->deadline, std::move(late));
  auto mine = line;
  depart(mine);
  Arrival arrival{*parcel};
  co_await arrival;
  timer.reset();
}

void Convoy::depart(const std::shared_ptr<Line>& line) {
  auto given_up = [](const ParcelPtr& p) { return p->done; };
  std::erase_if(line->waiting, given_up);
  while (!line->waiting.empty() && (!together_ || line->trips < kMaxUnderWay)) {
    Load load;
    auto next = line->waiting.begin();
    do {
      load.push_back(std::move(*next));
      next = line->waiting.erase(next);
    } while (together_ && load.size() < kMaxTogether && next != line->waiting.end() &&
             (*next)->timeout_ms == load.front()->timeout_ms && load.front()->trips < kMaxTrips &&
             (*next)->trips < kMaxTrips);
    ++line->trips;
    auto ended = [this, line](std::exception_ptr) {
      --line->trips;
      depart(line);
      if (line->trips == 0 && line->waiting.empty()) {
        lines_.erase(line->ref.parent + '\n' + line->ref.resource);
      }
    };
    spawn(travel(line, std::move(load)), std::move(ended));
  }
}

CommandPtr Convoy::put(Lease& lease, std::string_view sql, Params params, Deadline deadline) {
  auto command = std::make_shared<Command>(pool_.catalog().get(sql), std::move(params), deadline);
  lease->send(command);
  return command;
}

Task<> Convoy::travel(std::shared_ptr<Line> line, Load load) {
  Deadline latest = load.front()->deadline;
  for (const auto& p : load) {
    if (p->deadline.when() > latest.when()) latest = p->deadline;
  }
  auto leased = co_await pool_.acquire(latest);
  if (!leased.ok()) {
    Failure why;
    why.message = leased.error().detail.empty() ? leased.error().message : leased.error().detail;
    why.refused = true;
    for (const auto& p : load) fail(*p, why, false);
    co_return;
  }
  Lease lease = std::move(*leased);
  auto given_up = [](const ParcelPtr& p) { return p->done; };
  std::erase_if(load, given_up);
  if (load.empty()) co_return;
  for (const auto& p : load) {
    ++p->trips;
    p->backend_pid = lease->backendPid();
    p->command->deadline = latest;
  }
  pool_.limitStatements(lease, load.front()->timeout_ms);
  co_await exchange(lease, line->ref, load);
  // Whoever is not settled now was not to blame.
  for (auto it = load.rbegin(); it != load.rend(); ++it) {
    Parcel& p = **it;
    if (p.done) continue;
    auto again =
        std::make_shared<Command>(p.command->statement, std::move(p.command->params), p.deadline);
    p.command = std::move(again);
    line->waiting.push_front(std::move(*it));
  }
}

// Settles every parcel that needs no other trip.
Task<> Convoy::exchange(Lease& lease, const Ref& ref, Load& load) {
  Deadline deadline = load.front()->command->deadline;
  bool one_go = std::all_of(load.begin(), load.end(), [](const auto& p) { return p->fresh; });
  put(lease, sql::kBegin, Params(), deadline);
  Params key;
  key.ownText(ref.parent).ownText(ref.resource);
  CommandPtr locked = put(lease, sql::kLockList, std::move(key), deadline);
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
  for (const auto& p : load) {
    if (p->command.get() == culprit || load.size() == 1) fail(*p, why, false);
  }
  if (culprit == locked.get() || (commit && culprit == commit.get()) || !culprit) {
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
