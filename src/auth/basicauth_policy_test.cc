#include "auth/basicauth_policy.h"

#include <gtest/gtest.h>

#include "auth/basic.h"
#include "auth/hmac.h"

namespace godwit::auth {
namespace {

// RFC 4231 test case 2.
TEST(Hmac, KnownVector) {
  EXPECT_EQ(hmacSha256Hex("Jefe", "what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(hmacSha256Hex("", "").size(), 64u);
}

TEST(Basic, ReadsCredentials) {
  auto c = parseBasic("Basic bWF0OnNlY3JldA==");
  ASSERT_TRUE(c);
  EXPECT_EQ(c->user, "mat");
  EXPECT_EQ(c->password, "secret");
  EXPECT_EQ(parseBasic("bAsIc  YTpiOmM=")->password, "b:c");
}

TEST(Basic, RejectsOtherThings) {
  EXPECT_FALSE(parseBasic(""));
  EXPECT_FALSE(parseBasic("Basic"));
  EXPECT_FALSE(parseBasic("Bearer bWF0OnNlY3JldA=="));
  EXPECT_FALSE(parseBasic("Basic !!!!"));
  EXPECT_FALSE(parseBasic("Basic bWF0"));  // no colon
}

TEST(Basic, Latin1IsRead) { EXPECT_EQ(parseBasic("Basic 6To=")->user, "\xC3\xA9"); }

TEST(BasicAuthPolicy, SamePairSameUser) {
  BasicAuthPolicy policy("basicauth", "");
  Identity id;
  ASSERT_EQ(policy.decide({"Basic bWF0OnNlY3JldA==", ""}, id), Policy::Verdict::kYes);
  EXPECT_EQ(id.prefixed(),
            "basicauth:8a931a10fc88ab2f6d1cc02a07d3a81b5d4768f6f13e85c5d8d4180419acb1b4");
  EXPECT_EQ(policy.decide({"", ""}, id), Policy::Verdict::kNo);
  EXPECT_EQ(policy.decide({"Basic OnNlY3JldA==", ""}, id), Policy::Verdict::kNo);  // no name
}

}  // namespace
}  // namespace godwit::auth
