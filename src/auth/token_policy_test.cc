#include "auth/token_policy.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>

#include "store/memory/memory.h"
#include "store/test_reactor.h"

namespace godwit::auth {
namespace {

using namespace std::chrono_literals;

// Vouches for "good", is away for "away".
class FakePolicy final : public TokenPolicy {
 public:
  using TokenPolicy::TokenPolicy;
  explicit FakePolicy(Options o) : TokenPolicy(std::move(o)) {}
  mutable std::atomic<int> asked{0};

 protected:
  void vouch(std::string token, Reactor&, Deadline, Vouched done) const override {
    ++asked;
    if (token == "away") return done(Error(ErrorCode::kUnavailable, "away"));
    if (token == "odd") return done(std::optional<std::string>(R"({"name":"no id"})"));
    if (token != "good") return done(std::optional<std::string>());
    done(std::optional<std::string>(R"({"sub":"me","email":"me@example.org"})"));
  }
};

class TokenPolicyTest : public testing::Test {
 protected:
  TokenPolicyTest() {
    TokenPolicy::Options o;
    o.name = "idp";
    o.secret = "s";
    o.cache_prefix = "t:";
    o.cache = cache_.get();
    policy_ = std::make_unique<FakePolicy>(std::move(o));
  }
  std::string check(const std::string& header) {
    std::promise<std::string> answer;
    reactor_.post([&] {
      Presented presented{header, ""};
      Identity unused;
      if (policy_->decide(presented, unused) == Policy::Verdict::kNo)
        return answer.set_value("not mine");
      policy_->authenticate(presented, reactor_, Deadline::after(10s),
                            [&](Result<std::optional<Identity>> r) {
                              answer.set_value(!r.ok() ? "error " + r.error().message
                                               : *r    ? (*r)->prefixed()
                                                       : "nobody");
                            });
    });
    return answer.get_future().get();
  }
  store::TestReactor reactor_;
  std::unique_ptr<store::Cache> cache_ = store::makeMemoryCache();
  std::unique_ptr<FakePolicy> policy_;
};

TEST_F(TokenPolicyTest, a_good_token_is_asked_about_once) {
  EXPECT_EQ(check("Bearer good"), "idp:me");
  EXPECT_EQ(check("bearer good"), "idp:me");
  EXPECT_EQ(policy_->asked, 1);
}

TEST_F(TokenPolicyTest, refusals_and_outages_are_not_remembered) {
  EXPECT_EQ(check("Bearer bad"), "nobody");
  EXPECT_EQ(check("Bearer bad"), "nobody");
  EXPECT_EQ(check("Bearer away"), "error away");
  EXPECT_EQ(check("Bearer odd"), "nobody");
  EXPECT_EQ(policy_->asked, 4);
}

TEST_F(TokenPolicyTest, other_schemes_and_odd_bytes_are_not_its_business) {
  EXPECT_EQ(check("Basic good"), "not mine");
  EXPECT_EQ(check("Bearer"), "not mine");
  EXPECT_EQ(check("Bearer "), "not mine");
  EXPECT_EQ(check("Bearer good\r\nX-Evil: 1"), "not mine");
  EXPECT_EQ(check("Bearer " + std::string(20'000, 'a')), "not mine");
}

}  // namespace
}  // namespace godwit::auth
