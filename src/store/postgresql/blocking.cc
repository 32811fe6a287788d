#include "store/postgresql/blocking.h"

#include <algorithm>
#include <chrono>

#include "store/postgresql/options.h"

namespace godwit::store::postgresql {

namespace {

std::string trimmed(const char* s) {
  std::string out = s ? s : "";
  while (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

}  // namespace

Result<BlockingConnection> BlockingConnection::open(const std::string& url, Deadline deadline) {
  auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::min<Deadline::Clock::duration>(deadline.remaining(), std::chrono::hours(1)));
  std::string seconds = std::to_string(std::clamp<long long>(left.count() / 1000, 2, 30));
  std::string target = libpqUrl(url);
  const char* keys[] = {"connect_timeout", "fallback_application_name", "dbname", "client_encoding",
                        nullptr};
  const char* values[] = {seconds.c_str(), "godwit", target.c_str(), "UTF8", nullptr};
  BlockingConnection made(PQconnectdbParams(keys, values, 1));
  if (PQstatus(made.native()) != CONNECTION_OK) {
    return Error(ErrorCode::kUnavailable, "cannot reach the database at " + publicUrl(url),
                 trimmed(PQerrorMessage(made.native())));
  }
  PQsetNoticeProcessor(
      made.native(), [](void*, const char*) {}, nullptr);
  auto set = made.script(
      "SET TimeZone = 'UTC'; SET client_min_messages = error;"
      " SET statement_timeout = " +
      std::to_string(std::max<long long>(left.count(), 1000)));
  if (!set.ok()) return std::move(set).error();
  return made;
}

Error BlockingConnection::errorOf(const PGresult* r) const {
  Failure f;
  const char* state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
  f.sqlstate = state ? state : "";
  f.lost = !state;
  f.message =
      trimmed(state ? PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY) : PQerrorMessage(conn_.get()));
  return toError(f);
}

Result<void> BlockingConnection::script(const std::string& sql) {
  PGresult* r = PQexec(conn_.get(), sql.c_str());
  auto status = PQresultStatus(r);
  if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY) {
    PQclear(r);
    return {};
  }
  Error e = errorOf(r);
  PQclear(r);
  return e;
}

Result<Reply> BlockingConnection::query(const std::string& sql, const Params& params) {
  PGresult* r = PQexecParams(conn_.get(), sql.c_str(), params.size(), nullptr, params.values(),
                             params.lengths(), params.formats(), 1);
  auto status = PQresultStatus(r);
  if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) return Reply(r);
  Error e = errorOf(r);
  PQclear(r);
  return e;
}

}  // namespace godwit::store::postgresql
