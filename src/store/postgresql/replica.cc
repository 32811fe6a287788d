#include "store/postgresql/replica.h"

#include <algorithm>

#include "store/postgresql/sql.h"

namespace godwit::store::postgresql {

namespace {

using namespace std::chrono_literals;

constexpr auto kPatience = 1000ms;     // for the answers of one look
constexpr std::size_t kMaxMarks = 32;  // looks in which the replica replays nothing noted

}  // namespace

bool Replica::fresh() {
  auto now = Clock::now();
  auto every = std::clamp<std::chrono::milliseconds>(staleness_ / 5, 10ms, 1000ms);
  if (!state_->looking && now - looked_ >= every) {
    looked_ = now;
    state_->looking = true;
    auto ended = [state = state_](std::exception_ptr) { state->looking = false; };
    spawn(look(primary_, pool_, state_), std::move(ended));
  }
  return state_->as_of != Clock::time_point() && now - state_->as_of < staleness_;
}

Task<> Replica::look(Pool& primary, Pool& replica, std::shared_ptr<State> state) {
  auto deadline = Deadline::after(kPatience);
  Mark mark;
  mark.at = Clock::now();
  auto written =
      std::make_shared<Command>(primary.catalog().get(sql::kLogPosition), Params(), deadline);
  auto replayed =
      std::make_shared<Command>(replica.catalog().get(sql::kReplayPosition), Params(), deadline);
  primary.read(written);
  replica.read(replayed);
  Answered first(*written);
  co_await first;
  Answered second(*replayed);
  co_await second;
  const Reply& there = written->reply;
  if (there.ok() && there.rows() == 1 && !there.null(0, 0)) {
    mark.position = there.int8(0, 0);
    if (state->marks.size() == kMaxMarks) state->marks.pop_front();
    state->marks.push_back(mark);
  }
  const Reply& here = replayed->reply;
  // No position: a server that is no replica (any more).
  if (!here.ok() || here.rows() != 1 || here.null(0, 0)) co_return;
  std::int64_t position = here.int8(0, 0);
  while (!state->marks.empty() && state->marks.front().position <= position) {
    state->as_of = state->marks.front().at;
    state->marks.pop_front();
  }
}

}  // namespace godwit::store::postgresql
