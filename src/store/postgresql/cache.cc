#include "store/postgresql/cache.h"

#include "base/encoding.h"
#include "store/postgresql/query_sql.h"
#include "store/postgresql/sql.h"

namespace godwit::store::postgresql {

namespace {

constexpr std::string_view kGet = "SELECT value FROM cache WHERE key = $1 AND now() < ttl";
constexpr std::string_view kSet =
    "WITH old AS (SELECT 1 FROM cache WHERE key = $1 AND now() < ttl)"
    " INSERT INTO cache (key, value, ttl)"
    " VALUES ($1, $2, now() + $3::bigint * INTERVAL '1 millisecond')"
    " ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value, ttl = EXCLUDED.ttl"
    " RETURNING EXISTS (SELECT 1 FROM old)";
constexpr std::string_view kExpire =
    "UPDATE cache SET ttl = now() + $2::bigint * INTERVAL '1 millisecond'"
    " WHERE key = $1 AND now() < ttl";
constexpr std::string_view kTake =
    "DELETE FROM cache WHERE key = $1 RETURNING value, COALESCE(now() < ttl, FALSE)";
constexpr std::string_view kFlush =
    "WITH gone AS (DELETE FROM cache WHERE key LIKE $1 RETURNING now() < ttl AS live)"
    " SELECT EXISTS (SELECT 1 FROM gone WHERE live)";
constexpr std::string_view kPurge =
    "DELETE FROM cache WHERE key IN (SELECT key FROM cache WHERE ttl < now()"
    " ORDER BY ttl LIMIT 1000 FOR UPDATE SKIP LOCKED)";

constexpr std::string_view kBinaryMark =
    "\x02"
    "base64:";
constexpr unsigned kPurgeEvery = 128;  // sets

bool isText(std::string_view s) {
  return s.find('\0') == std::string_view::npos && isValidUtf8(s) && !s.starts_with(kBinaryMark);
}

std::string encoded(std::string_view value) {
  if (isText(value)) return std::string(value);
  return std::string(kBinaryMark) + base64Encode(value);
}

std::string decoded(std::string_view stored) {
  if (!stored.starts_with(kBinaryMark)) return std::string(stored);
  return base64Decode(stored.substr(kBinaryMark.size())).value_or(std::string());
}

}  // namespace

Result<std::string> PgCache::columnKey(std::string_view key) const {
  std::string out = prefix_ + encoded(key);
  if (out.size() > kMaxKey) return Error(ErrorCode::kLimit, "A cache key is too long");
  return out;
}

void PgCache::ask(Reactor& home, std::string_view sql, Params params, bool changes, Replied done,
                  Deadline deadline) {
  if (stopped_) {
    Failure why;
    why.message = "stopping";
    home.post([done = std::move(done), why]() mutable {
      Reply none(std::move(why));
      done(none);
    });
    return;
  }
  struct Body {
    static Task<> run(Pool& pool, CommandPtr command, Replied done) {
      pool.read(command);
      Answered answered(*command);
      co_await answered;
      Reply reply = std::move(command->reply);
      done(reply);
    }
  };
  Pool& pool = database_.pool(home);
  auto command = std::make_shared<Command>(pool.catalog().get(sql), std::move(params),
                                           deadline.earlier(Deadline::after(kCacheDeadline)));
  command->alone = changes;
  command->once = changes;
  spawn(Body::run(pool, std::move(command), std::move(done)), [](std::exception_ptr) {});
}

void PgCache::get(Reactor& home, std::string_view key, Got done) {
  auto column = columnKey(key);
  if (!column.ok()) return home.post([done, e = column.error()] { done(e); });
  Params p;
  p.ownText(std::move(*column));
  ask(home, kGet, std::move(p), false, [done = std::move(done)](Reply& r) {
    if (!r.ok()) return done(toError(r.failure()));
    if (r.rows() == 0) return done(std::optional<std::string>());
    done(std::optional<std::string>(decoded(r.text(0, 0))));
  });
}

void PgCache::set(Reactor& home, std::string_view key, std::string value,
                  std::chrono::milliseconds ttl, Did done) {
  auto column = columnKey(key);
  if (!column.ok()) return home.post([done, e = column.error()] { done(e); });
  Params p;
  p.ownText(std::move(*column)).ownText(encoded(value)).integer(ttl.count());
  ask(home, kSet, std::move(p), true, [done = std::move(done)](Reply& r) {
    if (!r.ok()) return done(toError(r.failure()));
    done(r.boolean(0, 0));
  });
  if (++sets_ % kPurgeEvery == 0) purgeNow(home);
}

void PgCache::purgeNow(Reactor& home) {
  ask(home, kPurge, Params(), true, [](Reply&) {});
}

void PgCache::expire(Reactor& home, std::string_view key, std::chrono::milliseconds ttl, Did done) {
  auto column = columnKey(key);
  if (!column.ok()) return home.post([done, e = column.error()] { done(e); });
  Params p;
  p.ownText(std::move(*column)).integer(ttl.count());
  ask(home, kExpire, std::move(p), true, [done = std::move(done)](Reply& r) {
    if (!r.ok()) return done(toError(r.failure()));
    done(r.affected() > 0);
  });
}

void PgCache::take(Reactor& home, std::string_view key, Got done) {
  auto column = columnKey(key);
  if (!column.ok()) return home.post([done, e = column.error()] { done(e); });
  Params p;
  p.ownText(std::move(*column));
  ask(home, kTake, std::move(p), true, [done = std::move(done)](Reply& r) {
    if (!r.ok()) return done(toError(r.failure()));
    if (r.rows() == 0 || !r.boolean(0, 1)) return done(std::optional<std::string>());
    done(std::optional<std::string>(decoded(r.text(0, 0))));
  });
}

void PgCache::flush(Reactor& home, Did done) {
  Params p;
  p.ownText(likePattern(prefix_ + "*"));
  ask(home, kFlush, std::move(p), true, [done = std::move(done)](Reply& r) {
    if (!r.ok()) return done(toError(r.failure()));
    done(r.boolean(0, 0));
  });
}

// As Kinto's heartbeat: a value is set and read back.
void PgCache::ping(Reactor& home, Deadline deadline, std::function<void(bool)> done) {
  auto column = columnKey("__heartbeat__");
  if (!column.ok()) return home.post([done] { done(false); });
  Params value;
  value.ownText(*column).ownText(encoded("alive")).integer(3'600'000);
  auto read = [this, &home, deadline, done, column = *column](Reply& written) {
    if (!written.ok()) return done(false);
    Params key;
    key.ownText(column);
    auto answer = [done](Reply& r) { done(r.ok() && r.rows() > 0); };
    ask(home, kGet, std::move(key), false, std::move(answer), deadline);
  };
  ask(home, kSet, std::move(value), true, std::move(read), deadline);
}

void PgCache::stop(Deadline deadline) {
  stopped_ = true;
  database_.stop(deadline);
}

}  // namespace godwit::store::postgresql
