#pragma once

#include <coroutine>
#include <memory>

#include "godwit/deadline.h"
#include "store/postgresql/params.h"
#include "store/postgresql/reply.h"
#include "store/postgresql/statement.h"

namespace godwit::store::postgresql {

struct Look;
class Gathering;

// One statement on its way, or a look that will be part of one. Shared by who asked and by the
// connection that carries it: when the deadline passes first, the asker is answered and the
// connection swallows the late reply.
struct Command {
  std::shared_ptr<const Statement> statement;
  Params params;
  Deadline deadline;
  bool alone = false;      // not in one Sync group with others any more
  bool once = false;       // changes something: not sent again when its answer is lost
  unsigned attempts = 0;   // times sent
  bool needs_row = false;  // fails with 22012 where its condition does not hold

  bool done = false;
  bool skipped = false;  // not run, since an earlier statement of its group failed
  Reply reply;
  std::coroutine_handle<> waiter;

  Look* const look = nullptr;            // what it asks for when it has no statement
  std::shared_ptr<Gathering> gathering;  // the looks it answers when it is one for many

  Command(std::shared_ptr<const Statement> s, Params p, Deadline d)
      : statement(std::move(s)), params(std::move(p)), deadline(d) {}
  Command(Look& l, Deadline d) : deadline(d), look(&l) {}
};
using CommandPtr = std::shared_ptr<Command>;

// co_await Answered{command}: goes on once it is done.
class Answered {
 public:
  explicit Answered(Command& command) : command_(command) {}
  bool await_ready() const { return command_.done; }
  void await_suspend(std::coroutine_handle<> h) { command_.waiter = h; }
  void await_resume() const {}

 private:
  Command& command_;
};

}  // namespace godwit::store::postgresql
