#include <thread>

#include "store/conformance.h"

namespace godwit::store {

TEST_P(CacheConformance, SetGetOverwriteTake) {
  EXPECT_EQ(get("k"), std::nullopt);
  EXPECT_FALSE(*set("k", "one"));
  EXPECT_EQ(get("k"), "one");
  EXPECT_TRUE(*set("k", "two"));
  EXPECT_EQ(get("k"), "two");
  EXPECT_EQ(take("k"), "two");
  EXPECT_EQ(take("k"), std::nullopt);
  EXPECT_EQ(get("k"), std::nullopt);
}

TEST_P(CacheConformance, TextSurvivesAsItIs) {
  std::string value = "line\n\"quoted\" \xC3\xA9";
  ASSERT_TRUE(set("clé", value).ok());
  EXPECT_EQ(get("clé"), value);
  ASSERT_TRUE(set("empty", "").ok());
  EXPECT_EQ(get("empty"), "");
}

TEST_P(CacheConformance, ExpiresAndCanBeProlonged) {
  using namespace std::chrono_literals;
  ASSERT_TRUE(set("gone", "x", 1ms).ok());
  ASSERT_TRUE(set("kept", "y", 1ms).ok());
  ASSERT_TRUE(set("long", "z").ok());
  std::this_thread::sleep_for(20ms);  // time itself is the event
  EXPECT_EQ(get("gone"), std::nullopt);
  EXPECT_EQ(take("gone"), std::nullopt);
  EXPECT_FALSE(expire("kept", 60s));
  EXPECT_TRUE(expire("long", 1ms));
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(get("long"), std::nullopt);
}

TEST_P(CacheConformance, WhatLivesForNoTimeIsGoneAtOnce) {
  using namespace std::chrono_literals;
  EXPECT_FALSE(*set("k", "x", 0ms));
  EXPECT_EQ(get("k"), std::nullopt);
  ASSERT_TRUE(set("k", "y").ok());
  EXPECT_TRUE(*set("k", "z", 0ms));
  EXPECT_EQ(get("k"), std::nullopt);
  ASSERT_TRUE(set("k", "y").ok());
  EXPECT_TRUE(expire("k", 0ms));
  EXPECT_EQ(get("k"), std::nullopt);
  EXPECT_EQ(take("k"), std::nullopt);
}

TEST_P(CacheConformance, FlushEmpties) {
  EXPECT_FALSE(flush());
  ASSERT_TRUE(set("a", "1").ok());
  ASSERT_TRUE(set("b", "2").ok());
  EXPECT_TRUE(flush());
  EXPECT_EQ(get("a"), std::nullopt);
  EXPECT_EQ(get("b"), std::nullopt);
}

TEST_P(CacheConformance, TakeGivesAValueToOneOnly) {
  constexpr int kRounds = 50;
  for (int round = 0; round < kRounds; ++round) {
    ASSERT_TRUE(set("nonce", "v").ok());
    std::atomic<int> winners = 0;
    std::atomic<int> answers = 0;
    std::promise<void> all;
    for (std::size_t i = 0; i < 4; ++i) {
      loop(i).post([&, home = &loop(i)] {
        opened_.cache->take(*home, "nonce", [&](Result<std::optional<std::string>> r) {
          if (r.ok() && *r) ++winners;
          if (++answers == 4) all.set_value();
        });
      });
    }
    all.get_future().wait();
    EXPECT_EQ(winners, 1);
  }
}

TEST_P(CacheConformance, OldestLeavesWhenFull) {
  if (!opened_.cache_holds_64_kib) GTEST_SKIP() << "bounded by the server";
  std::string kib(1000, 'x');
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(set("k" + std::to_string(i), kib).ok());
  EXPECT_EQ(get("k0"), std::nullopt);
  EXPECT_EQ(get("k99"), kib);
  EXPECT_EQ(get("k60"), kib);
}

}  // namespace godwit::store
