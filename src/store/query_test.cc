#include "store/query.h"

#include <gtest/gtest.h>

#include "store/conformance.h"
#include "store/glob.h"
#include "store/memory/memory.h"
#include "store/stamp.h"

namespace godwit::store {
namespace {

TEST(Glob, StarTakesAnythingElseIsLiteral) {
  EXPECT_TRUE(globMatches("/buckets/*", "/buckets/b/collections/c"));
  EXPECT_TRUE(globMatches("*", ""));
  EXPECT_TRUE(globMatches("a*b*c", "a--b-b-c"));
  EXPECT_FALSE(globMatches("a*b*c", "a--b-b-"));
  EXPECT_FALSE(globMatches("/buckets/a_b", "/buckets/axb"));
  EXPECT_FALSE(globMatches("", "a"));
}

TEST(Glob, StarMayStopAtASlash) {
  auto matches = [](std::string_view p, std::string_view t) {
    return globMatches(p, t, Star::kStopsAtSlash);
  };
  EXPECT_TRUE(matches("/buckets/*", "/buckets/b"));
  EXPECT_FALSE(matches("/buckets/*", "/buckets/b/collections/c"));
  EXPECT_TRUE(matches("/buckets/*/collections/*", "/buckets/b/collections/c"));
  EXPECT_FALSE(matches("/buckets/*/collections/*", "/buckets/b/x/collections/c"));
  EXPECT_TRUE(matches("*a*b/c", "xaab/c"));
}

TEST(Glob, PrefixEndIsTheNextString) {
  EXPECT_EQ(prefixEnd("/a/"), "/a0");
  EXPECT_EQ(prefixEnd("a\xFF"), "b");
  EXPECT_EQ(prefixEnd(""), "");
}

TEST(Like, WildcardsCaseAndEscapes) {
  auto like = [](std::string_view p, std::string_view t) { return Like(p).matches(t); };
  EXPECT_TRUE(like("*world*", "Hello WORLD!"));
  EXPECT_TRUE(like("h_llo*", "HELLO you"));
  EXPECT_FALSE(like("h_llo", "hllo"));
  EXPECT_TRUE(like("100\\%", "100%"));
  EXPECT_FALSE(like("100\\%", "100x"));
  EXPECT_TRUE(like("a\\", "a\\"));
  EXPECT_TRUE(like("%", ""));
  EXPECT_FALSE(like("", "a"));
  EXPECT_TRUE(like("_", "\xC3\xA9"));  // one character, not one byte
  EXPECT_TRUE(like("\xC3\x89*", "\xC3\xA9t\xC3\xA9"));
  EXPECT_TRUE(like("*ab*abc", "ababc"));
  EXPECT_TRUE(like("*a_c*e", "abcabcde"));
  EXPECT_FALSE(like("ab*ba", "aba"));  // the ends may not overlap
}

TEST(Like, HostilePatternsStayCheap) {
  std::string text(200'000, 'a');
  std::string pattern = "*" + std::string(500, 'a') + "b*" + std::string(500, 'a') + "b*";
  EXPECT_FALSE(Like(pattern).matches(text));
}

TEST(Stamp, RulesInOnePlace) {
  auto free = [](Timestamp) { return false; };
  auto taken = [](Timestamp) { return true; };
  auto at = [&](Timestamp list, Timestamp floor, Timestamp current, Timestamp requested) {
    Stamp s = nextStamp(list, floor, current, requested, 1000, free);
    return std::pair(s.object, s.list);
  };
  using P = std::pair<Timestamp, Timestamp>;
  EXPECT_EQ(at(0, 0, 0, 0), P(1000, 1000));
  EXPECT_EQ(at(999, 0, 0, 0), P(1000, 1000));
  EXPECT_EQ(at(1000, 0, 0, 0), P(1001, 1001));
  EXPECT_EQ(at(5000, 0, 0, 0), P(5001, 5001));
  EXPECT_EQ(at(5000, 0, 0, 5000), P(5001, 5001));
  EXPECT_EQ(at(5000, 0, 0, 6000), P(6000, 6000));
  EXPECT_EQ(at(5000, 0, 0, 40), P(40, 5000));
  EXPECT_EQ(at(5000, 0, 40, 40), P(5001, 5001));
  EXPECT_EQ(at(5000, 0, 41, 40), P(5001, 5001));
  EXPECT_EQ(at(0, 0, 0, 40), P(40, 40));
  EXPECT_EQ(at(0, 1000, 0, 0), P(1001, 1001));
  EXPECT_EQ(at(0, 7000, 0, 0), P(7001, 7001));
  Stamp s = nextStamp(5000, 0, 0, 40, 1000, taken);
  EXPECT_EQ(P(s.object, s.list), P(5001, 5001));
}

TEST(MemoryBackend, ListMadeAnewInTheSameMillisecondHasANewTimestamp) {
  ManualClock clock(1'000'000'000'000);
  auto backend = makeMemoryBackend(clock);
  TestReactor home;
  Client c(*backend, home);
  const Ref ref{"record", "/p"};
  Query all;
  for (Timestamp last = 0, round = 0; round < 3; ++round) {
    Timestamp t = *c.timestamp(ref);
    EXPECT_GT(t, last);
    last = c.create(ref, "a")->last_modified;
    EXPECT_GT(last, t);
    ASSERT_TRUE(c.write([&](Session& s) { return s.removeAll(ref, all, false); }).ok());
    ASSERT_TRUE(c.write([&](Session& s) { return s.removeTimestamps("/p"); }).ok());
  }
}

TEST(Operand, ComparesTextAsDocumentsDo) {
  constexpr const char* kTexts[] = {"null",
                                    "\"\"",
                                    "\"a\"",
                                    "\"b\"",
                                    "\"\\u00E9\"",
                                    "-1",
                                    "0",
                                    "-0",
                                    "0.0",
                                    "1",
                                    "1.0",
                                    "1e0",
                                    "10",
                                    "123456789012345678",
                                    "1234567890123456789012",
                                    "1e300",
                                    "false",
                                    "true",
                                    "[]",
                                    "[1]",
                                    "[0,0]",
                                    "{}",
                                    "{\"a\":1}",
                                    "{\"a\":2}"};
  auto sign = [](int v) { return (v > 0) - (v < 0); };
  for (const char* left : kTexts) {
    for (const char* right : kTexts) {
      Operand o(js(right));
      int expected = json::compare(js(left), js(right));
      EXPECT_EQ(sign(o.compare(left)), sign(expected)) << left << " and " << right;
      EXPECT_EQ(o.equals(left), expected == 0) << left << " and " << right;
    }
  }
}

}  // namespace
}  // namespace godwit::store
