#include "auth/account_policy.h"

#include "auth/basic.h"
#include "auth/hmac.h"
#include "auth/password.h"
#include "base/encoding.h"
#include "json/text.h"
#include "json/value.h"

namespace godwit::auth {
namespace {

std::int64_t monotonicMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

// One check of one pair of credentials, on home's thread but while hashing.
struct AccountPolicy::Attempt {
  Credentials credentials;
  std::string cache_key, fingerprint, throttle_key;
  Reactor& home;
  Deadline deadline;
  Done done;
  std::string hash;  // "" when there is no such account

  Attempt(Credentials c, Reactor& r, Deadline d, Done f)
      : credentials(std::move(c)), home(r), deadline(d), done(std::move(f)) {}
};

std::string AccountPolicy::cacheKey(const std::string& secret, const std::string& account) {
  return hmacSha256Hex(secret, "accounts:" + account + ":verified");
}

Policy::Verdict AccountPolicy::decide(const Presented& presented, Identity&) const {
  if (presented.authorization.empty()) return Verdict::kNo;
  auto credentials = parseBasic(presented.authorization);
  return credentials && !credentials->user.empty() ? Verdict::kLater : Verdict::kNo;
}

void AccountPolicy::authenticate(const Presented& presented, Reactor& home, Deadline deadline,
                                 Done done) const {
  auto credentials = parseBasic(presented.authorization);
  if (!credentials) return done(std::optional<Identity>());
  auto attempt =
      std::make_shared<Attempt>(std::move(*credentials), home, deadline, std::move(done));
  const std::string& user = attempt->credentials.user;
  attempt->cache_key = cacheKey(parts_.secret, user);
  attempt->fingerprint = hmacSha256Hex(attempt->cache_key, attempt->credentials.password);
  attempt->throttle_key = std::string(presented.remote) + "|" + user;
  look(std::move(attempt));
}

void AccountPolicy::look(std::shared_ptr<Attempt> a) const {
  parts_.cache->get(a->home, a->cache_key, [this, a](Result<std::optional<std::string>> got) {
    // A cache that is away costs speed, not logins.
    if (!got.ok() || !*got || !constantTimeEqual(**got, a->fingerprint)) return load(a);
    parts_.cache->expire(a->home, a->cache_key, parts_.cache_ttl, [](Result<bool>) {});
    Identity who;
    who.policy = name_;
    who.user = a->credentials.user;
    a->done(std::optional<Identity>(std::move(who)));
  });
}

void AccountPolicy::load(std::shared_ptr<Attempt> a) const {
  if (!throttle_.allows(a->throttle_key, monotonicMs())) return a->done(std::optional<Identity>());
  readHash(a, [this, a](Result<std::string> hash) {
    if (!hash.ok()) return a->done(std::move(hash).error());
    a->hash = std::move(*hash);
    verify(a);
  });
}

// "" when there is no such account.
void AccountPolicy::readHash(std::shared_ptr<Attempt> a,
                             std::function<void(Result<std::string>)> done) const {
  struct Found {
    std::string hash;
    std::optional<Error> failure;
  };
  auto result = std::make_shared<Found>();
  store::Work work = [a, result](store::Session& session) -> Task<store::Verdict> {
    result->failure.reset();
    result->hash.clear();
    store::Ref ref{"account", a->credentials.user};
    Result<store::Object> found = co_await session.get(ref, a->credentials.user);
    if (!found.ok()) {
      if (found.error().code != ErrorCode::kNotFound) result->failure = found.error();
      co_return store::Verdict::kRollback;
    }
    if (auto text = json::findPath(found->data, "password")) {
      Result<json::Value> password = json::parse(*text);
      if (password.ok() && password->isString()) result->hash = password->asString();
    }
    co_return store::Verdict::kCommit;
  };
  auto loaded = [result, done = std::move(done)](Result<store::Verdict> verdict) {
    if (!verdict.ok()) return done(std::move(verdict).error());
    if (result->failure) return done(*result->failure);
    done(std::move(result->hash));
  };
  parts_.backend->run(store::Mode::kPoint, a->home, a->deadline, std::move(work),
                      std::move(loaded));
}

void AccountPolicy::verify(std::shared_ptr<Attempt> a) const {
  if (a->hash.empty() && !parts_.hides_unknown) return a->done(std::optional<Identity>());
  bool taken = parts_.pool->submit([this, a] {
    // Waiting in the queue may have used up the time: nobody listens to the answer then.
    bool late = a->deadline.expired();
    bool good = false;
    if (!late && a->hash.empty()) wasteVerification(a->credentials.password);
    if (!late && !a->hash.empty()) good = verifyPassword(a->credentials.password, a->hash);
    a->home.post([this, a, late, good] {
      if (late) return a->done(Error(ErrorCode::kTimeout, "password could not be checked in time"));
      settle(a, good);
    });
  });
  if (!taken) a->done(Error(ErrorCode::kUnavailable, "too many passwords are being checked"));
}

void AccountPolicy::settle(std::shared_ptr<Attempt> a, bool good) const {
  if (!good) {
    throttle_.failed(a->throttle_key, monotonicMs());
    return a->done(std::optional<Identity>());
  }
  throttle_.succeeded(a->throttle_key);
  parts_.cache->set(a->home, a->cache_key, a->fingerprint, parts_.cache_ttl,
                    [this, a](Result<bool>) { confirm(a); });
}

// Whoever changes the account removes what is remembered once the change is durable. That may have
// been while the hash of before was being checked: what was remembered after that must go too.
void AccountPolicy::confirm(std::shared_ptr<Attempt> a) const {
  readHash(a, [this, a](Result<std::string> hash) {
    if (hash.ok() && *hash == a->hash) {
      Identity who;
      who.policy = name_;
      who.user = a->credentials.user;
      return a->done(std::optional<Identity>(std::move(who)));
    }
    auto answer = std::make_shared<Result<std::optional<Identity>>>(std::optional<Identity>());
    if (!hash.ok()) *answer = std::move(hash).error();
    parts_.cache->take(a->home, a->cache_key, [a, answer](auto) { a->done(std::move(*answer)); });
  });
}

}  // namespace godwit::auth
