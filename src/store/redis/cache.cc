#include "store/redis/cache.h"

#include <hiredis/hiredis.h>

#include <condition_variable>

namespace godwit::store::redis {

namespace {

// Read and removed in one step, also before Redis 6.2 had a command for it.
constexpr const char* kTake =
    "local v = redis.call('GET', KEYS[1]) if v then redis.call('DEL', KEYS[1]) end return v";
// Whether there was one, and then the new one, in one step.
constexpr const char* kSet =
    "local n = redis.call('EXISTS', KEYS[1])"
    " redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) return n";

std::string milliseconds(std::chrono::milliseconds ttl) { return std::to_string(ttl.count()); }

// The server's refusal of a command, if it is one.
std::optional<Error> refusal(const redisReply* r, const Error* e) {
  if (e) return *e;
  if (r->type != REDIS_REPLY_ERROR) return std::nullopt;
  return Error(ErrorCode::kUnavailable, "The cache is unavailable", std::string(r->str, r->len));
}

void gave(const redisReply* r, const Error* e, const Cache::Got& done) {
  if (auto bad = refusal(r, e)) return done(*bad);
  if (r->type != REDIS_REPLY_STRING) return done(std::optional<std::string>());
  done(std::optional<std::string>(std::string(r->str, r->len)));
}

void did(const redisReply* r, const Error* e, const Cache::Did& done) {
  if (auto bad = refusal(r, e)) return done(*bad);
  done(r->type == REDIS_REPLY_INTEGER && r->integer != 0);
}

// SCAN's MATCH is a glob; the prefix is meant literally.
std::string globLiteral(std::string_view s) {
  std::string out;
  for (char c : s) {
    if (c == '*' || c == '?' || c == '[' || c == ']' || c == '\\' || c == '^') out += '\\';
    out += c;
  }
  return out;
}

}  // namespace

RedisCache::RedisCache(Options options)
    : options_(std::move(options)), resolver_(std::make_shared<postgresql::Resolver>()) {}

RedisCache::~RedisCache() { stop(Deadline::after(std::chrono::seconds(1))); }

std::string RedisCache::keyOf(std::string_view key) const {
  return options_.prefix + std::string(key);
}

Link* RedisCache::link(Reactor& home) {
  std::lock_guard lock(mu_);
  if (stopped_) return nullptr;
  auto& slot = links_[&home];
  if (!slot) slot = std::make_unique<Link>(home, options_, resolver_);
  return slot.get();
}

void RedisCache::send(Reactor& home, std::vector<std::string> argv, Deadline deadline,
                      Link::Replied done) {
  if (auto* l = link(home)) return l->send(std::move(argv), deadline, std::move(done));
  home.post([done = std::move(done)] {
    Error e(ErrorCode::kUnavailable, "The cache is unavailable", "stopping");
    done(nullptr, &e);
  });
}

void RedisCache::get(Reactor& home, std::string_view key, Got done) {
  send(home, {"GET", keyOf(key)}, Deadline::after(kCacheDeadline),
       [done = std::move(done)](const redisReply* r, const Error* e) { gave(r, e, done); });
}

void RedisCache::set(Reactor& home, std::string_view key, std::string value,
                     std::chrono::milliseconds ttl, Did done) {
  if (ttl.count() <= 0) {
    // Redis knows no key that is gone at once.
    send(home, {"DEL", keyOf(key)}, Deadline::after(kCacheDeadline),
         [done = std::move(done)](const redisReply* r, const Error* e) { did(r, e, done); });
    return;
  }
  send(home, {"EVAL", kSet, "1", keyOf(key), std::move(value), milliseconds(ttl)},
       Deadline::after(kCacheDeadline),
       [done = std::move(done)](const redisReply* r, const Error* e) { did(r, e, done); });
}

void RedisCache::expire(Reactor& home, std::string_view key, std::chrono::milliseconds ttl,
                        Did done) {
  send(home, {"PEXPIRE", keyOf(key), milliseconds(ttl)}, Deadline::after(kCacheDeadline),
       [done = std::move(done)](const redisReply* r, const Error* e) { did(r, e, done); });
}

void RedisCache::take(Reactor& home, std::string_view key, Got done) {
  send(home, {"EVAL", kTake, "1", keyOf(key)}, Deadline::after(kCacheDeadline),
       [done = std::move(done)](const redisReply* r, const Error* e) { gave(r, e, done); });
}

void RedisCache::flush(Reactor& home, Did done) {
  if (!options_.prefix.empty()) return flushStep(home, "0", false, std::move(done));
  send(home, {"DBSIZE"}, Deadline::after(kCacheDeadline),
       [this, &home, done = std::move(done)](const redisReply* r, const Error* e) {
         if (auto bad = refusal(r, e)) return done(*bad);
         bool any = r->integer > 0;
         send(home, {"FLUSHDB"}, Deadline::after(kCacheDeadline),
              [done, any](const redisReply* r2, const Error* e2) {
                if (auto bad = refusal(r2, e2)) return done(*bad);
                done(any);
              });
       });
}

void RedisCache::flushStep(Reactor& home, std::string cursor, bool any, Did done) {
  send(home, {"SCAN", cursor, "MATCH", globLiteral(options_.prefix) + "*", "COUNT", "500"},
       Deadline::after(kCacheDeadline),
       [this, &home, any, done = std::move(done)](const redisReply* r, const Error* e) {
         if (auto bad = refusal(r, e)) return done(*bad);
         if (r->type != REDIS_REPLY_ARRAY || r->elements != 2) return done(any);
         std::string next(r->element[0]->str, r->element[0]->len);
         std::vector<std::string> del{"DEL"};
         for (std::size_t i = 0; i < r->element[1]->elements; ++i) {
           del.emplace_back(r->element[1]->element[i]->str, r->element[1]->element[i]->len);
         }
         bool found = any || del.size() > 1;
         auto go_on = [this, &home, next, found, done](const redisReply* r2, const Error* e2) {
           if (auto bad = refusal(r2, e2)) return done(*bad);
           if (next == "0") return done(found);
           flushStep(home, next, found, done);
         };
         if (del.size() == 1) del = {"PING"};
         send(home, std::move(del), Deadline::after(kCacheDeadline), std::move(go_on));
       });
}

void RedisCache::ping(Reactor& home, Deadline deadline, std::function<void(bool)> done) {
  auto until = deadline.earlier(Deadline::after(kCacheDeadline));
  send(home, {"SET", keyOf("__heartbeat__"), "alive", "PX", "3600000"}, until,
       [done = std::move(done)](const redisReply* r, const Error* e) { done(!refusal(r, e)); });
}

void RedisCache::stop(Deadline deadline) {
  std::unordered_map<Reactor*, std::unique_ptr<Link>> links;
  {
    std::lock_guard lock(mu_);
    stopped_ = true;
    links.swap(links_);
  }
  if (links.empty()) return;
  struct Left {
    std::mutex mu;
    std::condition_variable gone;
    std::size_t count = 0;
  };
  auto left = std::make_shared<Left>();
  left->count = links.size();
  for (auto& [home, one] : links) {
    home->post([mine = std::move(one), left]() mutable {
      mine.reset();
      std::lock_guard lock(left->mu);
      --left->count;
      left->gone.notify_all();
    });
  }
  auto until = deadline.isNever() ? Deadline::after(std::chrono::seconds(5)) : deadline;
  std::unique_lock lock(left->mu);
  left->gone.wait_until(lock, until.when(), [&] { return left->count == 0; });
}

}  // namespace godwit::store::redis
