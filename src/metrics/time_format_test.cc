#include "metrics/time_format.h"

#include <gtest/gtest.h>

namespace godwit::metrics {
namespace {

constexpr TimeNs kT = 1'795'153'696'841'713'000;  // 2026-11-20T05:48:16.841713Z

std::string format(std::string_view f, TimeNs t = kT) {
  std::string out;
  appendTime(out, f, t);
  return out;
}

TEST(TimeFormat, prints_every_directive) {
  EXPECT_EQ(format(kDefaultTimestampFormat), "2026-11-20T05:48:16.841713Z");
  EXPECT_EQ(format("%d %b %y %B %j|%z|%Z|%%|%q%"), "20 Nov 26 November 324|||%|%q%");
  EXPECT_EQ(format(kDefaultTimestampFormat, -1'000), "1969-12-31T23:59:59.999999Z");
  EXPECT_EQ(format("%Y%m%d%f", kT + 999), "20261120841713");
  EXPECT_EQ(format("%Y-%m-%d", 951'782'400'000'000'000), "2000-02-29");
}

TEST(TimeFormat, reads_what_it_prints) {
  for (const char* f : {"%Y-%m-%dT%H:%M:%S.%fZ", "%d/%m/%Y %H:%M:%S.%f", "%f %j %Y %H%M%S",
                        "%b %d %y  %H:%M:%S,%f %%", "%B-%Y-%d:%S.%f:%M:%H"}) {
    EXPECT_EQ(parseTime(f, format(f)), kT) << f;
  }
}

TEST(TimeFormat, applies_offsets_and_names_of_utc) {
  const TimeNs t = kT - kT % 1'000'000'000;
  EXPECT_EQ(parseTime("%Y-%m-%dT%H:%M:%S%z", "2026-11-20T07:48:16+0200"), t);
  EXPECT_EQ(parseTime("%Y-%m-%dT%H:%M:%S%z", "2026-11-20T07:48:16+02:00"), t);
  EXPECT_EQ(parseTime("%Y-%m-%dT%H:%M:%S%z", "2026-11-20T05:48:16Z"), t);
  EXPECT_EQ(parseTime("%Y-%m-%dT%H:%M:%S %Z", "2026-11-20T05:48:16 utc"), t);
}

TEST(TimeFormat, takes_one_to_six_digits_of_a_fraction) {
  EXPECT_EQ(parseTime(kDefaultTimestampFormat, "2026-11-20T05:48:16.8Z"),
            kT - kT % 1'000'000'000 + 800'000'000);
  EXPECT_FALSE(parseTime(kDefaultTimestampFormat, "2026-11-20T05:48:16.Z"));
  EXPECT_FALSE(parseTime(kDefaultTimestampFormat, "2026-11-20T05:48:16.1234567Z"));
}

TEST(TimeFormat, refuses_what_is_no_date) {
  for (const char* s : {"", "2026-13-20T05:48:16.841713Z", "2026-02-29T05:48:16.841713Z",
                        "2026-11-20T24:00:00.000000Z", "2026-11-20T05:48:60.000000Z",
                        "2026-11-20T05:48:16.841713", "2026-11-20T05:48:16.841713ZZ",
                        "0000-11-20T05:48:16.841713Z", "9999-11-20T05:48:16.841713Z"}) {
    EXPECT_FALSE(parseTime(kDefaultTimestampFormat, s)) << s;
  }
  EXPECT_FALSE(parseTime("%Y %A", "2026 Monday"));
  EXPECT_FALSE(parseTime("%Y%", "2026"));
}

}  // namespace
}  // namespace godwit::metrics
