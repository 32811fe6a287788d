#pragma once

#include <chrono>
#include <string>

#include "auth/policy.h"
#include "auth/throttle.h"
#include "base/worker_pool.h"
#include "store/backend.h"

namespace godwit::auth {

// What is checked against the "account" objects of the store: user id = account id, password = its
// bcrypt hash. Verified credentials are remembered in the cache, by keyed hashes only, so that the
// expensive check runs once per `cache_ttl`. Hashing runs on the pool; a full pool answers
// kUnavailable, and failing too often is answered without looking (Throttle).
class AccountPolicy final : public Policy {
 public:
  struct Parts {
    store::Backend* backend = nullptr;  // not owned, like the others
    store::Cache* cache = nullptr;
    WorkerPool* pool = nullptr;
    std::string secret;  // of the cache keys
    std::chrono::seconds cache_ttl{30};
    // An unknown name takes as long as a wrong password. Without, it is refused at once: for where
    // other policies let in whom this one does not know.
    bool hides_unknown = true;
    std::string realm = "Realm";
    Parts() = default;
  };
  AccountPolicy(std::string name, Parts parts) : name_(std::move(name)), parts_(std::move(parts)) {}

  [[nodiscard]] const std::string& name() const override { return name_; }
  Verdict decide(const Presented& presented, Identity& out) const override;
  void authenticate(const Presented& presented, Reactor& home, Deadline deadline,
                    Done done) const override;
  [[nodiscard]] std::string challenge() const override {
    return "Basic realm=\"" + parts_.realm + "\"";
  }

  [[nodiscard]] const Throttle& throttle() const { return throttle_; }

  // Where verified credentials of an account are remembered. Remove it when the account changes.
  static std::string cacheKey(const std::string& secret, const std::string& account);

 private:
  struct Attempt;
  void look(std::shared_ptr<Attempt> attempt) const;
  void load(std::shared_ptr<Attempt> attempt) const;
  void readHash(std::shared_ptr<Attempt> attempt,
                std::function<void(Result<std::string>)> done) const;
  void verify(std::shared_ptr<Attempt> attempt) const;
  void settle(std::shared_ptr<Attempt> attempt, bool good) const;
  void confirm(std::shared_ptr<Attempt> attempt) const;

  const std::string name_;
  const Parts parts_;
  mutable Throttle throttle_;
};

}  // namespace godwit::auth
