#include "metrics/wire_json.h"

#include <gtest/gtest.h>

#include <limits>

namespace godwit::metrics {
namespace {

constexpr char kGolden[] =
    R"({"dimensions": [{"name": "app", "value": "kinto"}], "counters": [{"name": "Failure", )"
    R"("metadata": {}, "timestamp": "2026-11-20T05:48:16.841713Z", "value": 0.0}], "timers": )"
    R"([{"name": "RequestTime", "unit": {"name": "milliseconds", "seconds_offset": 1000.0}, )"
    R"("metadata": {}, "timestamp": "2026-11-20T05:48:16.841713Z", "value": 12.5}], )"
    R"("timestamp_format": "%Y-%m-%dT%H:%M:%S.%fZ", "serialized_at": )"
    R"("2026-11-20T05:48:17.398670Z"})";

std::string text(const Metrics& m, TimeNs at = 0) {
  std::string out;
  appendWireJson(out, m, at);
  return out;
}
std::string pyFloat(double v) {
  std::string out;
  appendPythonFloat(out, v);
  return out;
}
std::string pyString(std::string_view s) {
  std::string out;
  appendPythonString(out, s);
  return out;
}

TEST(WireJson, the_golden_message_survives_both_ways) {
  Metrics m;
  ASSERT_TRUE(parseWireJson(kGolden, m).ok());
  EXPECT_EQ(text(m), kGolden);
  EXPECT_EQ(m.counters.at(0).ts, 1'795'153'696'841'713'000);
  EXPECT_TRUE(m.counters.at(0).explicit_ts);
  EXPECT_EQ(m.timers.at(0).unit, Milliseconds);
}

TEST(WireJson, serialized_at_is_stamped_when_missing) {
  EXPECT_EQ(text(Metrics{}, 1'795'153'697'398'670'999),
            R"({"dimensions": [], "counters": [], "timers": [], "timestamp_format": )"
            R"("%Y-%m-%dT%H:%M:%S.%fZ", "serialized_at": "2026-11-20T05:48:17.398670Z"})");
}

TEST(WireJson, floats_look_like_python_repr) {
  EXPECT_EQ(pyFloat(0.0), "0.0");
  EXPECT_EQ(pyFloat(-0.0), "-0.0");
  EXPECT_EQ(pyFloat(1), "1.0");
  EXPECT_EQ(pyFloat(0.1), "0.1");
  EXPECT_EQ(pyFloat(123456.789), "123456.789");
  EXPECT_EQ(pyFloat(1e15), "1000000000000000.0");
  EXPECT_EQ(pyFloat(1e16), "1e+16");
  EXPECT_EQ(pyFloat(1.5e300), "1.5e+300");
  EXPECT_EQ(pyFloat(0.0001), "0.0001");
  EXPECT_EQ(pyFloat(0.00001), "1e-05");
  EXPECT_EQ(pyFloat(5e-324), "5e-324");
  EXPECT_EQ(pyFloat(std::numeric_limits<double>::max()), "1.7976931348623157e+308");
}

TEST(WireJson, strings_are_ascii_with_python_escapes) {
  EXPECT_EQ(pyString("a\"\\/\n\r\t\f\b"), R"("a\"\\/\n\r\t\f\b")");
  EXPECT_EQ(pyString(std::string_view("\0\x1f\x7f", 3)), R"("\u0000\u001f\u007f")");
  EXPECT_EQ(pyString("é€😀"), R"("\u00e9\u20ac\ud83d\ude00")");
  EXPECT_EQ(pyString("\xff\xc0\x80\xed\xa0\x80x"), R"("\ufffd\ufffd\ufffd\ufffd\ufffd\ufffdx")");
}

TEST(WireJson, timers_are_whole_microseconds) {
  Metrics m;
  Sample s;
  s.name = "t";
  s.kind = Kind::Timer;
  s.unit = Milliseconds;
  s.value = 1.2345678;  // 1,234.5678 us
  m.timers.push_back(s);
  EXPECT_NE(text(m).find(R"("value": 1.2349999999999999})"), std::string::npos);
}

TEST(WireJson, takes_foreign_producers_as_they_are) {
  Metrics m;
  const char* foreign =
      R"( {"timers": [{"value": 3, "unit": {"seconds_offset": 1000, "name": "milliseconds"},
           "timestamp": "2026-11-20T05:48:16.5Z", "name": "é", "x": [1, {"y": null}]}],
          "counters": [{"timestamp": "2026-11-20T05:48:16.841713Z", "name": "n", "value": 7,
            "metadata": {"i": -1, "f": 1.0, "t": true, "n": null, "s": "\ud83d\ude00"}}],
          "dimensions": [{"value": 200, "name": "status"}, {"name": "b", "value": true}],
          "unknown": {} } )";
  const auto r = parseWireJson(foreign, m);
  ASSERT_TRUE(r.ok()) << r.error().message;
  EXPECT_EQ(m.dims, (Dims{{"status", "200"}, {"b", "True"}}));
  EXPECT_TRUE(m.timers.at(0).unit.integral);
  EXPECT_EQ(m.counters.at(0).meta,
            (Meta{{"i", std::int64_t{-1}}, {"f", 1.0}, {"t", true}, {"n", {}}, {"s", "😀"}}));
  EXPECT_FALSE(m.serialized_at);
  EXPECT_NE(text(m).find(R"("seconds_offset": 1000})"), std::string::npos);
}

TEST(WireJson, the_format_counts_wherever_it_stands) {
  Metrics m;
  ASSERT_TRUE(parseWireJson(R"({"timestamp_format": "%Y", "dimensions": [], "timers": [],
      "counters": [{"name": "a", "timestamp": "1970", "value": 1, "metadata": null}]})",
                            m)
                  .ok());
  EXPECT_EQ(m.counters.at(0).ts, 0);
}

TEST(WireJson, refuses_and_says_why) {
  Metrics m;
  const auto why = [&](std::string_view s) {
    const auto r = parseWireJson(s, m);
    return r.ok() ? std::string("accepted") : r.error().message;
  };
  EXPECT_EQ(why("{}"), "dimensions are missing");
  EXPECT_EQ(why(""), "an object is missing");
  EXPECT_EQ(why("\xff"), "the message is not UTF-8");
  const std::string golden = kGolden;
  const auto with = [&](std::string_view from, std::string_view to) {
    std::string s = golden;
    s.replace(s.find(from), from.size(), to);
    return why(s);
  };
  EXPECT_EQ(with("12.5", "NaN"), "a value is not finite");
  EXPECT_EQ(with("12.5", "-Infinity"), "a value is not finite");
  EXPECT_EQ(with("12.5", "1e999"), "a value is not finite");
  EXPECT_EQ(with("12.5", "\"12.5\""), "a number is missing");
  EXPECT_EQ(with("12.5", "012"), "a number is missing");
  EXPECT_EQ(with("1000.0", "0"), "a unit lacks name or offset");
  EXPECT_EQ(with("\"RequestTime\", \"unit\"", "\"RequestTime\", \"unite\""),
            "a metric lacks name, value, timestamp or unit");
  EXPECT_EQ(with("2026-11-20T05:48:16", "2026-11-20 05:48:16"),
            "a timestamp does not match its format");
  EXPECT_EQ(with("\"metadata\": {}", "\"metadata\": {\"a\": []}"), "a number is missing");
  EXPECT_EQ(with("}], \"timers\"", "},], \"timers\""), "a comma too many");
  EXPECT_EQ(why(golden + "x"), "text after the message");
  EXPECT_EQ(why("{\"x\": " + std::string(40, '[')), "nested too deep");
  for (std::size_t n = 0; n < golden.size(); ++n) {
    EXPECT_NE(why(golden.substr(0, n)), "accepted") << n;
  }
}

}  // namespace
}  // namespace godwit::metrics
