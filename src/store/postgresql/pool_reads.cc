// Pool: the lane, where reads of all units travel.
#include <utility>

#include "store/postgresql/look.h"
#include "store/postgresql/pool.h"

namespace godwit::store::postgresql {

namespace {

constexpr std::size_t kGroup = 64;  // reads per Sync: what one failure makes us send again
// Statements for many looks that are under way. While the server works on one we take in the answer
// to another and gather the next: more would make each of them smaller.
constexpr std::size_t kGatherings = 2;
constexpr std::size_t kLaneDepth = 1024;  // statements in flight
constexpr unsigned kMaxAttempts = 3;      // times a read is sent

}  // namespace

bool Pool::readsWaiting() const { return !looks_.empty() || !reads_.empty(); }

void Pool::read(CommandPtr command) {
  auto now = Deadline::Clock::now();
  auto& waiting = command->look ? looks_ : reads_;
  if (stopped_ || refusing(now) || waiting.size() >= options_.max_backlog + kLaneDepth) {
    ++stats_.refused;
    command->reply = Reply(refusal());
    command->done = true;
    arm();
    return;
  }
  waiting.push_back(std::move(command));
  later();
  arm();
}

// --- Answers

void Pool::finish(Command& command) {
  command.done = true;
  if (command.waiter) resume_.push_back(std::exchange(command.waiter, {}));
}

void Pool::finish(Command& command, Reply reply) {
  if (command.done) return;
  command.reply = std::move(reply);
  finish(command);
}

void Pool::requeue(CommandPtr command, const Failure& why) {
  if (command->done) return;
  bool repeatable = !command->once || (command->skipped && !why.lost);
  if (!repeatable || command->attempts >= kMaxAttempts || command->deadline.expired()) {
    return finish(*command, Reply(why));
  }
  ++stats_.reissued;
  command->alone = true;
  auto& waiting = command->look ? looks_ : reads_;
  waiting.push_back(std::move(command));
}

// A connection has died with this on it.
void Pool::lose(Connection& c, CommandPtr command, const Failure& why) {
  if (command->gathering && c.lane) {
    disperse(*command, why);
  } else if (c.lane) {
    requeue(std::move(command), why);
  } else {
    finish(*command, Reply(why));
  }
}

// The looks of a statement that was not answered. One by one, nobody fails for a neighbour; one
// that was alone has itself to blame, unless it was skipped or its connection lost.
void Pool::disperse(Command& command, const Failure& why) {
  if (!command.alone) --gatherings_;
  bool again = why.lost || command.skipped || command.gathering->members().size() > 1;
  for (const auto& member : command.gathering->members()) {
    if (again) {
      requeue(member, why);
    } else {
      finish(*member, Reply(why));
    }
  }
}

void Pool::onReply(Connection& c, CommandPtr command) {
  if (command->done) return;  // answered by its deadline
  if (c.lane && command->gathering) {
    if (!command->reply.ok()) {
      Failure why = command->reply.failure();
      return disperse(*command, why);
    }
    if (!command->alone) --gatherings_;
    command->gathering->share(command->reply);
    for (const auto& member : command->gathering->members()) {
      if (!member->done) finish(*member);
    }
    return;
  }
  if (c.lane && !command->reply.ok()) {
    Failure why = command->reply.failure();
    if (command->skipped || why.lost) return requeue(std::move(command), why);
  }
  finish(*command);
}

// --- Questions

void Pool::sendReads() {
  if (!lane_ || !lane_->ready() || !readsWaiting()) return;
  sendLooks();
  std::size_t in_group = 0;
  while (!reads_.empty() && lane_->pending() < kLaneDepth) {
    CommandPtr command = std::move(reads_.front());
    reads_.pop_front();
    if (command->done) continue;
    if (command->alone && in_group > 0) {
      lane_->sync();
      in_group = 0;
    }
    bool alone = command->alone;
    lane_->send(std::move(command));
    if (++in_group == kGroup || alone) {
      lane_->sync();
      in_group = 0;
    }
  }
  if (in_group > 0) lane_->sync();
  lane_->flush();
}

// Each statement for looks has a Sync of its own, so that it fails for nobody else.
void Pool::sendLooks() {
  while (!looks_.empty() && lane_->pending() < kLaneDepth) {
    bool alone = looks_.front()->alone;
    if (!alone && gatherings_ >= kGatherings) return;
    std::vector<CommandPtr> members;
    while (!looks_.empty() && members.size() < (alone ? 1 : kGroup) &&
           looks_.front()->alone == alone) {
      CommandPtr look = std::move(looks_.front());
      looks_.pop_front();
      if (look->done) continue;
      ++look->attempts;
      members.push_back(std::move(look));
    }
    if (members.empty()) continue;
    CommandPtr command = gather(std::move(members), catalog_);
    command->alone = alone;
    if (!alone) ++gatherings_;
    if (command->gathering->members().size() > 1) {
      stats_.gathered += command->gathering->members().size();
    }
    lane_->send(std::move(command));
    lane_->sync();
  }
}

}  // namespace godwit::store::postgresql
