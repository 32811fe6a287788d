#include "store/postgresql/reply.h"

#include <charconv>

namespace godwit::store::postgresql {

namespace {

constexpr std::int64_t kPostgresEpochUs = 946'684'800'000'000;  // 2000-01-01 in Unix time

bool startsWith(const std::string& s, std::string_view prefix) { return s.starts_with(prefix); }

}  // namespace

bool Failure::retryable() const {
  if (unknown) return false;
  if (is("40001") || is("40P01") || is(kStaleRead) || is(kNeedsSnapshot)) return true;
  // 55P03: a lock was not available. 23505: keys are only ever taken by a concurrent writer, since
  // every statement handles the ones it can see.
  return is("55P03") || is("23505");
}

bool Failure::fatal() const {
  return is("57P01") || is("57P02") || is("57P03") || is("57P05") || is("25P03") ||
         startsWith(sqlstate, "08");
}

Error toError(const Failure& f) {
  std::string detail = f.sqlstate.empty() ? f.message : f.sqlstate + ": " + f.message;
  if (f.unknown) {
    return Error(ErrorCode::kUnavailable,
                 "The database went away; the change may or may not have been made", detail);
  }
  if (f.timeout || f.is("57014")) {
    return Error(ErrorCode::kTimeout, "The database did not answer in time", detail);
  }
  if (f.is("25006")) {
    return Error(ErrorCode::kUnavailable, "The database is read-only now", detail);
  }
  if (startsWith(f.sqlstate, "53")) {
    return Error(ErrorCode::kUnavailable,
                 f.is("53100") ? "The database's disk is full" : "The database is out of resources",
                 detail);
  }
  // Values that PostgreSQL cannot hold: NUL in text, numbers beyond numeric, malformed JSON.
  if (startsWith(f.sqlstate, "22")) {
    bool nul = f.is("22P05") || f.is("22021");
    return Error(
        ErrorCode::kInvalid,
        nul ? "A string holds a null character" : "A value cannot be stored by the database",
        detail);
  }
  if (startsWith(f.sqlstate, "54")) {
    return Error(ErrorCode::kInvalid, "A value is too large for the database", detail);
  }
  if (f.is("42P01") || f.is("42703") || f.is("42883")) {
    return Error(ErrorCode::kUnavailable,
                 "The database's schema is missing or old (hint: godwit migrate)", detail);
  }
  if (startsWith(f.sqlstate, "42") || startsWith(f.sqlstate, "0A")) {
    return Error(ErrorCode::kInternal, "The database refused a statement", detail);
  }
  return Error(ErrorCode::kUnavailable, "The database is unavailable", detail);
}

std::int64_t Reply::int8(int row, int col) const {
  const auto* p = reinterpret_cast<const unsigned char*>(PQgetvalue(result_.get(), row, col));
  std::uint64_t n = 0;
  for (int i = 0; i < 8; ++i) n = n << 8 | p[i];
  return static_cast<std::int64_t>(n);
}

std::int64_t Reply::micros(int row, int col) const { return int8(row, col) + kPostgresEpochUs; }

Timestamp Reply::millis(int row, int col) const {
  std::int64_t us = micros(row, col);
  std::int64_t half = us >= 0 ? 500 : -500;
  return (us + half) / 1000;
}

std::uint64_t Reply::affected() const {
  if (!result_) return 0;
  std::string_view n = PQcmdTuples(result_.get());
  std::uint64_t out = 0;
  std::from_chars(n.data(), n.data() + n.size(), out);
  return out;
}

}  // namespace godwit::store::postgresql
