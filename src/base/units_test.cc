#include "base/units.h"

#include <gtest/gtest.h>

namespace godwit {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

TEST(Units, booleans) {
  EXPECT_EQ(parseBool("Yes"), true);
  EXPECT_EQ(parseBool(" 1 "), true);
  EXPECT_EQ(parseBool("off"), false);
  EXPECT_EQ(parseBool("maybe"), std::nullopt);
  EXPECT_EQ(parseBool(""), std::nullopt);
}

TEST(Units, spans_of_time) {
  EXPECT_EQ(parseDuration("30"), milliseconds(30'000));
  EXPECT_EQ(parseDuration("1.5 s"), milliseconds(1'500));
  EXPECT_EQ(parseDuration("250ms"), milliseconds(250));
  EXPECT_EQ(parseDuration("250", "ms"), milliseconds(250));
  EXPECT_EQ(parseDuration("250", ""), milliseconds(250'000));
  EXPECT_EQ(parseDuration("2h"), milliseconds(7'200'000));
  EXPECT_EQ(parseDuration("5min"), parseDuration("5M"));
  EXPECT_EQ(parseNanoseconds("1.5us"), nanoseconds(1'500));
  EXPECT_EQ(parseNanoseconds("365d"), nanoseconds(365LL * 86'400 * 1'000'000'000));
  EXPECT_EQ(parseNanoseconds(" 0.000000001 "), nanoseconds(1));
  for (const char* bad :
       {"", "s", "-1", "+1", "1e3", "nan", "inf", ".", "1..2", "1.2.3s", "1 fortnight", "1e300 d",
        "300 years", "200000d", "99999999999999999999999999999999"}) {
    EXPECT_EQ(parseNanoseconds(bad), std::nullopt) << bad;
  }
}

TEST(Units, sizes) {
  EXPECT_EQ(parseSize("64KiB"), 65536u);
  EXPECT_EQ(parseSize("10k"), 10240u);
  EXPECT_EQ(parseSize("1 MB"), 1'000'000u);
  EXPECT_EQ(parseSize("1.5G"), 1536ULL << 20);
  EXPECT_EQ(parseSize("512"), 512u);
  EXPECT_EQ(parseSize("0"), 0u);
  for (const char* bad : {"", "M", "-1K", "12 parsecs", "1e3", "9999999 GiB"}) {
    EXPECT_EQ(parseSize(bad), std::nullopt) << bad;
  }
}

}  // namespace
}  // namespace godwit
