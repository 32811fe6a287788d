#pragma once

#include <libpq-fe.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "godwit/result.h"
#include "store/types.h"

namespace godwit::store::postgresql {

// Why a statement or a connection failed.
struct Failure {
  std::string sqlstate;    // five characters, or empty when the server said nothing
  std::string constraint;  // of an integrity violation
  std::string message;     // for the log
  bool lost = false;       // the connection died; what it was doing may or may not have happened
  bool timeout = false;    // the request's deadline passed
  bool refused = false;    // no connection could be had
  bool unknown = false;    // what was to be changed may or may not have been

  [[nodiscard]] bool is(std::string_view state) const { return sqlstate == state; }
  // Running the whole unit of work again may succeed: serialisation, deadlock, a timestamp or key
  // taken by a concurrent writer, or a concurrent change noticed by ourselves.
  [[nodiscard]] bool retryable() const;
  // The server ended the session.
  [[nodiscard]] bool fatal() const;
};

// SQLSTATE used for a change that a unit of work noticed after it had read something.
inline constexpr std::string_view kStaleRead = "GW001";
// SQLSTATE used when a unit of reads goes on after one that was not part of a snapshot.
inline constexpr std::string_view kNeedsSnapshot = "GW002";

// The public error for a failure. Its detail carries the server's words.
Error toError(const Failure& failure);

// Rows of one statement, in binary format. Indexes are not checked.
class Reply {
 public:
  Reply() = default;
  explicit Reply(PGresult* r) : result_(r) {}
  explicit Reply(Failure f) : failure_(std::make_unique<Failure>(std::move(f))) {}

  [[nodiscard]] bool ok() const { return failure_ == nullptr; }
  [[nodiscard]] const Failure& failure() const { return *failure_; }

  [[nodiscard]] int rows() const { return result_ ? PQntuples(result_.get()) : 0; }
  [[nodiscard]] bool null(int row, int col) const { return PQgetisnull(result_.get(), row, col); }
  [[nodiscard]] std::string_view text(int row, int col) const {
    return {PQgetvalue(result_.get(), row, col),
            static_cast<std::size_t>(PQgetlength(result_.get(), row, col))};
  }
  // jsonb in binary is a version byte and its text.
  [[nodiscard]] std::string_view jsonb(int row, int col) const { return text(row, col).substr(1); }
  [[nodiscard]] std::int64_t int8(int row, int col) const;
  [[nodiscard]] bool boolean(int row, int col) const {
    return *PQgetvalue(result_.get(), row, col) != 0;
  }
  // A timestamp column, in microseconds of Unix time.
  [[nodiscard]] std::int64_t micros(int row, int col) const;
  // A timestamp column, rounded to Unix milliseconds as Kinto's
  // as_epoch() does.
  [[nodiscard]] Timestamp millis(int row, int col) const;
  // Rows touched by INSERT, UPDATE or DELETE.
  [[nodiscard]] std::uint64_t affected() const;
  // "COMMIT", "ROLLBACK", "INSERT 0 1", ...
  [[nodiscard]] std::string_view tag() const {
    return result_ ? PQcmdStatus(result_.get()) : std::string_view();
  }

 private:
  struct Clear {
    void operator()(PGresult* r) const { PQclear(r); }
  };
  std::unique_ptr<PGresult, Clear> result_;
  std::unique_ptr<Failure> failure_;
};

}  // namespace godwit::store::postgresql
