#include "auth/account_policy.h"

#include <gtest/gtest.h>

#include <future>

#include "auth/password.h"
#include "base/encoding.h"
#include "store/memory/memory.h"
#include "store/test_reactor.h"

namespace godwit::auth {
namespace {

using namespace std::chrono_literals;

class AccountPolicyTest : public testing::Test {
 protected:
  AccountPolicyTest() {
    policy_ = std::make_unique<AccountPolicy>("account", parts());
    write("alice", *hashPassword("secret", 4));
  }

  AccountPolicy::Parts parts() {
    AccountPolicy::Parts parts;
    parts.backend = backend_.get();
    parts.cache = cache_.get();
    parts.pool = &pool_;
    parts.secret = "s";
    return parts;
  }

  void write(const std::string& id, const std::string& hash) {
    std::promise<void> done;
    reactor_.post([&] {
      store::Work work = [id, hash](store::Session& session) -> Task<store::Verdict> {
        store::Ref ref{"account", id};
        store::Object object;
        object.id = id;
        object.data = R"({"password":")" + hash + R"("})";
        auto r = co_await session.update(ref, std::move(object));
        co_return r.ok() ? store::Verdict::kCommit : store::Verdict::kRollback;
      };
      backend_->run(store::Mode::kWrite, reactor_, Deadline::after(10s), std::move(work),
                    [&](Result<store::Verdict> r) {
                      EXPECT_TRUE(r.ok());
                      done.set_value();
                    });
    });
    done.get_future().wait();
  }

  // "account:alice", "nobody", or the error's message.
  std::string check(const std::string& user, const std::string& password) {
    std::string header = "Basic " + base64Encode(user + ":" + password);
    std::promise<std::string> answer;
    reactor_.post([&] {
      Presented presented{header, "127.0.0.1"};
      policy_->authenticate(
          presented, reactor_, Deadline::after(20s), [&](Result<std::optional<Identity>> r) {
            answer.set_value(!r.ok() ? r.error().message : *r ? (*r)->prefixed() : "nobody");
          });
    });
    return answer.get_future().get();
  }

  // Destroyed last to first: the pool posts to the reactor.
  store::TestReactor reactor_;
  std::unique_ptr<store::Backend> backend_ = store::makeMemoryBackend();
  std::unique_ptr<store::Cache> cache_ = store::makeMemoryCache();
  WorkerPool pool_{"bcrypt", 2, 4};
  std::unique_ptr<AccountPolicy> policy_;
};

TEST_F(AccountPolicyTest, the_right_password_and_no_other) {
  EXPECT_EQ(check("alice", "secret"), "account:alice");
  EXPECT_EQ(check("alice", "Secret"), "nobody");
  EXPECT_EQ(check("alice", ""), "nobody");
  EXPECT_EQ(check("bob", "secret"), "nobody");
}

TEST_F(AccountPolicyTest, an_unknown_name_costs_a_hash_only_where_it_must_not_be_told_apart) {
  std::promise<void> release;
  auto shared = release.get_future().share();
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(pool_.submit([shared] { shared.wait(); }));
  while (pool_.queued() > 0) std::this_thread::yield();
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(pool_.submit([] {}));
  // No hash can be computed now.
  EXPECT_EQ(check("nobody-known", "x"), "too many passwords are being checked");
  AccountPolicy::Parts parts = this->parts();
  parts.hides_unknown = false;
  policy_ = std::make_unique<AccountPolicy>("account", parts);
  for (int i = 0; i < 200; ++i) EXPECT_EQ(check("nobody-known", "x"), "nobody");
  EXPECT_EQ(policy_->throttle().refusals(), 0U);
  release.set_value();
}

TEST_F(AccountPolicyTest, verified_credentials_are_remembered_without_the_password) {
  EXPECT_EQ(check("alice", "secret"), "account:alice");
  write("alice", *hashPassword("changed", 4));
  EXPECT_EQ(check("alice", "secret"), "account:alice") << "from the cache";
  EXPECT_EQ(check("alice", "wrong"), "nobody");
  std::promise<void> gone;
  reactor_.post([&] {
    cache_->take(reactor_, AccountPolicy::cacheKey("s", "alice"),
                 [&](Result<std::optional<std::string>> r) {
                   ASSERT_TRUE(r.ok() && *r);
                   EXPECT_EQ((*r)->find("secret"), std::string::npos);
                   gone.set_value();
                 });
  });
  gone.get_future().wait();
  EXPECT_EQ(check("alice", "secret"), "nobody");
  EXPECT_EQ(check("alice", "changed"), "account:alice");
}

TEST_F(AccountPolicyTest, guessing_is_throttled_and_others_are_not) {
  int checked = 0;
  while (policy_->throttle().refusals() == 0 && checked < 200) {
    EXPECT_EQ(check("alice", "guess" + std::to_string(checked)), "nobody");
    ++checked;
  }
  EXPECT_GE(checked, 20);
  EXPECT_LT(checked, 100);
  write("carol", *hashPassword("hers", 4));
  EXPECT_EQ(check("carol", "hers"), "account:carol");
}

TEST_F(AccountPolicyTest, a_password_that_changed_while_it_was_checked_is_not_remembered) {
  std::promise<void> release;
  auto shared = release.get_future().share();
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(pool_.submit([shared] { shared.wait(); }));
  while (pool_.queued() > 0) std::this_thread::yield();
  auto answer = std::async(std::launch::async, [&] { return check("alice", "secret"); });
  while (pool_.queued() == 0) std::this_thread::yield();  // the hash of before has been read
  write("alice", *hashPassword("changed", 4));
  release.set_value();
  EXPECT_EQ(answer.get(), "nobody");
  EXPECT_EQ(check("alice", "secret"), "nobody");
  EXPECT_EQ(check("alice", "changed"), "account:alice");
}

TEST_F(AccountPolicyTest, a_full_pool_says_so_instead_of_queueing_without_end) {
  std::promise<void> release;
  auto shared = release.get_future().share();
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(pool_.submit([shared] { shared.wait(); }));
  while (pool_.queued() > 0) std::this_thread::yield();
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(pool_.submit([] {}));
  EXPECT_EQ(check("alice", "secret"), "too many passwords are being checked");
  release.set_value();
}

}  // namespace
}  // namespace godwit::auth
