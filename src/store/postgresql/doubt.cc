#include "store/postgresql/doubt.h"

#include <algorithm>

#include "base/random.h"
#include "store/postgresql/pause.h"
#include "store/postgresql/sql.h"

namespace godwit::store::postgresql {

namespace {

constexpr unsigned kPatientTries = 5;  // looks at a transaction before its session is ended

Task<Reply> query(Pool& pool, Lease& lease, std::string_view sql, Params params,
                  Deadline deadline) {
  auto command = std::make_shared<Command>(pool.catalog().get(sql), std::move(params), deadline);
  if (!lease->ready()) {
    Failure lost;
    lost.lost = true;
    co_return Reply(std::move(lost));
  }
  lease->send(command);
  lease->sync();
  pool.flush(*lease.operator->());
  Answered answered(*command);
  co_await answered;
  Reply reply = std::move(command->reply);
  co_return reply;
}

Params objectOf(const InDoubt& doubt) {
  Params p;
  p.text(doubt.id).text(doubt.ref.parent).text(doubt.ref.resource);
  return p;
}

}  // namespace

Task<Outcome> Doubts::settle(Pool& pool, InDoubt doubt, Deadline deadline) {
  ++met_;
  Outcome out;
  if (doubt.transaction == 0 && !doubt.fresh) co_return out;
  auto found = co_await ask(pool, doubt, deadline);
  if (found.kind != Outcome::Kind::kUnknown) ++resolved_;
  co_return found;
}

Task<Outcome> Doubts::ask(Pool& pool, const InDoubt& doubt, Deadline deadline) {
  bool ended = false;
  for (unsigned tries = 0; !deadline.expired(); ++tries) {
    bool again = true;
    // A session that still waits for a client that will not come back holds locks.
    bool end = !ended && tries >= kPatientTries;
    ended = ended || end;
    auto found = co_await look(pool, doubt, deadline, end, &again);
    if (!again) co_return found;
    auto wait = std::chrono::milliseconds(20 + randomBelow(30) * std::min(tries + 1, 4u));
    Pause waiting(pool.loop(), wait);
    co_await waiting;
  }
  Outcome unknown;
  co_return unknown;
}

// "Committed" needs a witness, a row that this very transaction wrote: after a crash the server may
// hand out the numbers of transactions that never reached its log again. Without a number, the
// session must be gone; then a fresh object is there or will never be.
Task<Outcome> Doubts::look(Pool& pool, const InDoubt& doubt, Deadline deadline, bool end,
                           bool* again) {
  Outcome out;
  auto lease = co_await pool.acquire(deadline);
  if (!lease.ok()) co_return out;
  if (doubt.transaction == 0) {
    Params who;
    who.integer(doubt.backend_pid);
    auto lives = co_await query(pool, *lease, sql::kSessionLives, std::move(who), deadline);
    if (!lives.ok() || lives.rows() != 1) co_return out;
    if (lives.boolean(0, 0)) {
      if (!end) co_return out;
      Params whom;
      whom.integer(doubt.backend_pid);
      auto ended = co_await query(pool, *lease, sql::kEndSession, std::move(whom), deadline);
      static_cast<void>(ended);
      co_return out;
    }
    auto written = co_await query(pool, *lease, sql::kWrittenAt, objectOf(doubt), deadline);
    if (!written.ok()) co_return out;
    *again = false;
    out.kind = Outcome::Kind::kAborted;
    if (written.rows() > 0) {
      out.kind = Outcome::Kind::kCommitted;
      out.at = written.micros(0, 0);
    }
    co_return out;
  }
  Params p;
  p.integer(doubt.transaction).text(doubt.id).text(doubt.ref.parent).text(doubt.ref.resource);
  p.integer(doubt.at);
  auto reply = co_await query(pool, *lease, sql::kOutcome, std::move(p), deadline);
  if (!reply.ok()) co_return out;
  if (reply.rows() != 1 || reply.null(0, 0)) {
    *again = false;  // too old to be known
    co_return out;
  }
  std::string_view state = reply.text(0, 0);
  if (state == "aborted") out.kind = Outcome::Kind::kAborted;
  if (state == "committed" && reply.boolean(0, 1)) {
    out.kind = Outcome::Kind::kCommitted;
    out.at = doubt.at;
  }
  *again = state != "aborted" && state != "committed";
  if (*again && end) {
    Params who;
    who.integer(doubt.transaction).integer(doubt.backend_pid);
    auto ended = co_await query(pool, *lease, sql::kEndBackend, std::move(who), deadline);
    static_cast<void>(ended);
  }
  co_return out;
}

}  // namespace godwit::store::postgresql
