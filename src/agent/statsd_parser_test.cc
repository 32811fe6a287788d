#include "agent/statsd_parser.h"

#include <gtest/gtest.h>

namespace godwit::agent {
namespace {

struct Parsed {
  StatsdBad bad;
  StatsdLine line;
};
Parsed parse(std::string_view text, StatsdOptions options = {}) {
  Parsed p{StatsdBad::kNone, {}};
  p.bad = StatsdParser(options).parseLine(text, p.line);
  return p;
}

TEST(StatsdParser, counters_gauges_timers_and_their_relatives) {
  auto c = parse("a.b:2|c|@0.5");
  ASSERT_EQ(c.bad, StatsdBad::kNone);
  EXPECT_EQ(c.line.name, "a.b");
  EXPECT_EQ(c.line.type, StatsdType::kCounter);
  EXPECT_DOUBLE_EQ(c.line.values[0].number, 2);
  EXPECT_DOUBLE_EQ(c.line.rate, 0.5);
  EXPECT_EQ(parse("a:1|m").line.type, StatsdType::kCounter);
  EXPECT_EQ(parse("a:1.5|ms").line.type, StatsdType::kTimer);
  EXPECT_EQ(parse("a:1|h").line.type, StatsdType::kHistogram);
  EXPECT_EQ(parse("a:1|d").line.type, StatsdType::kDistribution);
  EXPECT_EQ(parse("a:1|kv").line.type, StatsdType::kKeyValue);
  EXPECT_DOUBLE_EQ(parse("a:1e3|c\r").line.values[0].number, 1000);
}

TEST(StatsdParser, signed_gauges_are_deltas_unless_told_otherwise) {
  EXPECT_FALSE(parse("g:5|g").line.values[0].relative);
  EXPECT_TRUE(parse("g:+5|g").line.values[0].relative);
  EXPECT_TRUE(parse("g:-5|g").line.values[0].relative);
  StatsdOptions o;
  o.gauge_delta = false;
  EXPECT_FALSE(parse("g:-5|g", o).line.values[0].relative);
}

TEST(StatsdParser, a_set_keeps_colons_and_slashes_in_its_member) {
  auto s = parse("users:endpoint./.method.get:x|s");
  ASSERT_EQ(s.bad, StatsdBad::kNone);
  EXPECT_EQ(s.line.name, "users");
  EXPECT_EQ(s.line.member, "endpoint./.method.get:x");
}

TEST(StatsdParser, many_values_in_a_line) {
  auto l = parse("a:1:2.5:-3|d|#x:y");
  ASSERT_EQ(l.bad, StatsdBad::kNone);
  ASSERT_EQ(l.line.values.size(), 3u);
  EXPECT_DOUBLE_EQ(l.line.values[2].number, -3);
}

TEST(StatsdParser, tags_of_every_dialect) {
  auto tags = [](std::string_view text) {
    auto p = parse(text);
    EXPECT_EQ(p.bad, StatsdBad::kNone) << text;
    StatsdTags t;
    StatsdParser().splitTags(p.line, t);
    std::string out(p.line.name);
    for (auto [k, v] : t) out += " " + std::string(k) + "=" + std::string(v);
    return out;
  };
  EXPECT_EQ(tags("a:1|c|#k:v,flag,url:http://x"), "a k=v flag= url=http://x");
  EXPECT_EQ(tags("a,k=v,l=w:1|c"), "a k=v l=w");
  EXPECT_EQ(tags("a;k=v;l=w:1|c"), "a k=v l=w");
  EXPECT_EQ(tags("a[k=v,l=w]:1|c"), "a k=v l=w");
  EXPECT_EQ(tags("a:1|c|#k:v|c:abc|T1600000000|e:it-x|card:low"), "a k=v container_id=abc");
  EXPECT_EQ(tags("odd,name:1|c"), "odd,name");
}

TEST(StatsdParser, refuses_with_the_reason) {
  EXPECT_EQ(parse("a").bad, StatsdBad::kNoType);
  EXPECT_EQ(parse("a:1").bad, StatsdBad::kNoType);
  EXPECT_EQ(parse("a|c").bad, StatsdBad::kNoValue);
  EXPECT_EQ(parse(":1|c").bad, StatsdBad::kEmptyName);
  for (const char* v : {"", "x", "nan", "inf", "-inf", "0x10", "1.2.3", "+-1", "1 "}) {
    EXPECT_EQ(parse("a:" + std::string(v) + "|c").bad, StatsdBad::kBadValue) << v;
  }
  EXPECT_EQ(parse("a:1|q").bad, StatsdBad::kUnknownType);
  EXPECT_EQ(parse("a:1|c|@0").bad, StatsdBad::kBadRate);
  EXPECT_EQ(parse("a:1|c|@1.1").bad, StatsdBad::kBadRate);
  EXPECT_EQ(parse("a:-1|ms").bad, StatsdBad::kNegativeTimer);
  EXPECT_EQ(parse("a:1|c|Tx").bad, StatsdBad::kBadTimestamp);
  EXPECT_EQ(parse(std::string(1025, 'n') + ":1|c").bad, StatsdBad::kNameTooLong);
  StatsdOptions etsy;
  etsy.etsy_compat = true;
  EXPECT_EQ(parse("a", etsy).bad, StatsdBad::kNone);
}

TEST(StatsdParser, events_and_service_checks) {
  auto e = parse("_e{5,4}:title|text|p:low|#k:v");
  ASSERT_EQ(e.bad, StatsdBad::kNone);
  EXPECT_EQ(e.line.name, "title");
  EXPECT_EQ(e.line.member, "text");
  EXPECT_EQ(e.line.tags, "k:v");
  EXPECT_EQ(parse("_e{50,4}:title|text").bad, StatsdBad::kBadEvent);
  EXPECT_EQ(parse("_e{18446744073709551615,1}:t|x").bad, StatsdBad::kBadEvent);
  auto s = parse("_sc|db|2|#k:v|m:down");
  ASSERT_EQ(s.bad, StatsdBad::kNone);
  EXPECT_DOUBLE_EQ(s.line.values[0].number, 2);
  EXPECT_EQ(parse("_sc|db|4").bad, StatsdBad::kBadEvent);
}

TEST(StatsdParser, limits_cut_and_count) {
  StatsdOptions o;
  o.max_tags = 2;
  o.max_tag = 5;
  StatsdParser parser(o);
  StatsdLine line;
  ASSERT_EQ(parser.parseLine("a:1|c|#a:\xC3\xA4\xC3\xA4,b:1,c:2", line), StatsdBad::kNone);
  StatsdTags tags;
  EXPECT_EQ(parser.splitTags(line, tags), 2u);
  ASSERT_EQ(tags.size(), 2u);
  EXPECT_EQ(tags[0].second, "\xC3\xA4");  // not through the middle of a character
}

TEST(StatsdParser, a_bad_line_spares_its_neighbours) {
  StatsdLine scratch;
  int good = 0, bad = 0;
  std::string_view text = "a:1|c\n\nbad\nb:2|c\r\n\r\nc:3|c";
  std::size_t n = StatsdParser().parse(
      text, scratch, [&](const StatsdLine&) { ++good; },
      [&](StatsdBad, std::string_view) { ++bad; });
  EXPECT_EQ(good, 3);
  EXPECT_EQ(bad, 1);
  EXPECT_EQ(n, 4u);
  EXPECT_EQ(countLines(text), 4u);
}

}  // namespace
}  // namespace godwit::agent
