#include "auth/throttle.h"

#include <gtest/gtest.h>

namespace godwit::auth {
namespace {

Throttle::Options small() {
  Throttle::Options o;
  o.burst = 3;
  o.per_second = 1;
  o.max_keys = 10;
  return o;
}

TEST(Throttle, after_the_burst_only_the_pace_is_allowed) {
  Throttle t(small());
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(t.allows("a", 0));
    t.failed("a", 0);
  }
  EXPECT_FALSE(t.allows("a", 0));
  EXPECT_TRUE(t.allows("b", 0));
  EXPECT_TRUE(t.allows("a", 1000));
  t.failed("a", 1000);
  EXPECT_FALSE(t.allows("a", 1001));
  EXPECT_EQ(t.refusals(), 2u);
}

TEST(Throttle, a_success_forgives_everything) {
  Throttle t(small());
  for (int i = 0; i < 3; ++i) t.failed("a", 0);
  t.succeeded("a");
  EXPECT_TRUE(t.allows("a", 0));
}

TEST(Throttle, memory_is_bounded_and_the_oldest_leave_first) {
  Throttle t(small());
  for (int i = 0; i < 1000; ++i) {
    for (int k = 0; k < 3; ++k) t.failed("key" + std::to_string(i), i);
    EXPECT_LE(t.keys(), 10u);
    EXPECT_FALSE(t.allows("key" + std::to_string(i), i));
  }
}

}  // namespace
}  // namespace godwit::auth
