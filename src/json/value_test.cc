#include "json/value.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <limits>

#include "json/number.h"
#include "json/text.h"

namespace godwit::json {
namespace {

Value read(std::string_view text) {
  auto v = parse(text);
  EXPECT_TRUE(v.ok()) << text << ": " << (v.ok() ? "" : v.error().message);
  return v.ok() ? *v : Value();
}

TEST(JsonNumbers, leave_as_they_came) {
  for (const char* text :
       {"123456789012345678901234567890", "-0", "0.1", "1.0", "1E5", "3.141592653589793238",
        "9007199254740993", "5e-324", "1.7976931348623157e308"}) {
    EXPECT_EQ(dump(read(text)), text);
  }
}

TEST(JsonNumbers, made_from_doubles_read_back_the_same) {
  EXPECT_EQ(dump(Value(1.0)), "1.0");
  EXPECT_EQ(dump(Value(-0.0)), "-0.0");
  EXPECT_EQ(dump(Value(0.1)), "0.1");
  EXPECT_EQ(dump(Value(2.5e-7)), "2.5e-07");
  EXPECT_EQ(dump(Value(1e22)), "1e+22");
  EXPECT_EQ(dump(Value(123456789012345.0)), "123456789012345.0");
  EXPECT_EQ(dump(Value(std::numeric_limits<double>::infinity())), "null");
  for (double d : {5e-324, 1.7976931348623157e308, 0.1 + 0.2, 1e15 + 0.3, -2.2250738585072014e-308,
                   9999999999999998.0}) {
    Value v(d);
    EXPECT_EQ(v.asDouble(), d);
    EXPECT_TRUE(parse(dump(v)).ok()) << dump(v);
  }
}

TEST(JsonNumbers, fit_or_do_not) {
  EXPECT_EQ(read("9223372036854775807").toInt(), std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(read("-9223372036854775808").toInt(), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(read("9223372036854775808").toInt(), std::nullopt);
  EXPECT_EQ(read("1.0").toInt(), std::nullopt);
  EXPECT_EQ(read("\"1\"").toInt(), std::nullopt);
  EXPECT_EQ(dump(Value(std::uint64_t{18446744073709551615u})), "18446744073709551615");
  EXPECT_EQ(read("1e-400").asDouble(), 0.0);
}

TEST(JsonNumbers, that_no_double_can_hold_are_refused) {
  for (std::string text : {"1e309", "-1e309", "1.7976931348623159e308", "0.1e310",
                           "1e99999999999999999999", "179769313486231590000e289"}) {
    auto v = parse("[" + text + "]");
    ASSERT_FALSE(v.ok()) << text;
    EXPECT_EQ(v.error().message, "Parse error at offset 1: Number too big to be stored in double.");
  }
  EXPECT_FALSE(parse(std::string(310, '9')).ok());
  EXPECT_TRUE(parse(std::string(308, '9')).ok());
  EXPECT_TRUE(parse("0." + std::string(400, '0') + "1e500").ok());
  EXPECT_TRUE(parse("0e999").ok());
  EXPECT_TRUE(parse("1e-999").ok());
}

TEST(JsonOrder, compares_numbers_exactly) {
  auto cmp = detail::compareNumbers;
  EXPECT_LT(cmp("9007199254740992", "9007199254740993"), 0);
  EXPECT_GT(cmp("123456789012345678901", "123456789012345678900.5"), 0);
  EXPECT_EQ(cmp("100", "1e2"), 0);
  EXPECT_EQ(cmp("1.50", "0.15e1"), 0);
  EXPECT_EQ(cmp("-0.0", "0e99"), 0);
  EXPECT_LT(cmp("-1e5", "-99999"), 0);
  EXPECT_LT(cmp("-1", "1"), 0);
  EXPECT_LT(cmp("0", "1e-999999999"), 0);
  EXPECT_GT(cmp("1e999999999", "9e999999998"), 0);
  EXPECT_LT(cmp("0.00012", "0.000121"), 0);
  EXPECT_GT(cmp("10.5", "10.05"), 0);
  EXPECT_GT(cmp("1e99999999999999999999", "1e99"), 0);
}

TEST(JsonOrder, is_that_of_jsonb) {
  const char* ascending[] = {"[]",
                             "null",
                             R"("")",
                             R"("B")",
                             R"("a")",
                             R"("aa")",
                             "-1",
                             "2",
                             "10",
                             "false",
                             "true",
                             "[1]",
                             "[2]",
                             "[[]]",
                             "[1,1]",
                             "{}",
                             R"({"a":1})",
                             R"({"a":2})",
                             R"({"b":0})",
                             R"({"a":0,"b":0})",
                             R"({"b":0,"aa":0})"};
  std::size_t n = std::size(ascending);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      int r = compare(read(ascending[i]), read(ascending[j]));
      EXPECT_EQ(r < 0, i < j) << ascending[i] << " " << ascending[j];
      EXPECT_EQ(r > 0, i > j) << ascending[i] << " " << ascending[j];
    }
  }
}

TEST(JsonEquality, ignores_member_order_and_number_form) {
  EXPECT_EQ(read(R"({"a":1,"b":[2.0]})"), read(R"({"b":[2],"a":1.0})"));
  EXPECT_FALSE(read("true") == read("1"));
  EXPECT_FALSE(read("[1,2]") == read("[2,1]"));
  EXPECT_FALSE(read(R"({"a":1})") == read(R"({"a":1,"b":1})"));
  EXPECT_FALSE(read(R"("1")") == read("1"));
}

TEST(JsonObject, keeps_order_and_replaces_in_place) {
  Object o;
  for (int i = 0; i < 100; ++i) o.set("k" + std::to_string(i), i);
  o.set("k5", "new");
  EXPECT_EQ(o.size(), 100u);
  EXPECT_EQ(o.begin()->first, "k0");
  EXPECT_EQ(o.find("k5")->asString(), "new");
  EXPECT_EQ((o.begin() + 5)->first, "k5");
  EXPECT_TRUE(o.erase("k7"));
  EXPECT_FALSE(o.erase("k7"));
  EXPECT_EQ(o.find("k7"), nullptr);
  EXPECT_EQ(o.find("k99")->toInt(), 99);
  Object copy = o;
  Object moved = std::move(o);
  EXPECT_TRUE(o.empty());  // NOLINT: documented
  o.set("again", 1);
  EXPECT_EQ(o.find("again")->toInt(), 1);
  EXPECT_EQ(Value(copy), Value(moved));
  EXPECT_EQ(moved.eraseIf([](const Object::Member& m) { return m.first != "k50"; }), 98u);
  EXPECT_EQ(moved.find("k50")->toInt(), 50);
}

TEST(JsonValue, assigns_from_its_own_inside) {
  Value v = read(R"({"a":{"b":[1,2,"three"]}})");
  v = *v.get("a");
  EXPECT_EQ(dump(v), R"({"b":[1,2,"three"]})");
  v = std::move(*v.get("b"));
  EXPECT_EQ(dump(v), R"([1,2,"three"])");
  v = v.asArray()[2];
  EXPECT_EQ(v.asString(), "three");
  Value empty = std::move(v);
  EXPECT_TRUE(v.isNull());  // NOLINT: documented
}

TEST(JsonValue, tells_depth_and_nul) {
  EXPECT_EQ(depth(read("1")), 0u);
  EXPECT_EQ(depth(read("[[],{\"a\":[]}]")), 3u);
  EXPECT_TRUE(containsNul(read(R"({"a":["x\u0000"]})")));
  EXPECT_TRUE(containsNul(read(R"({"\u0000":1})")));
  EXPECT_FALSE(containsNul(read(R"({"a":"\\u0000"})")));
}

// Hostile shapes: each would take minutes if anything in their way were quadratic.
TEST(JsonHostile, large_objects_and_numbers_are_linear) {
  std::string text = "{";
  for (int i = 0; i < 100'000; ++i) text += "\"member" + std::to_string(i) + "\":" + "1,";
  text.back() = '}';
  Value v = read(text);
  EXPECT_EQ(v.asObject().size(), 100'000u);
  EXPECT_TRUE(v == read(text));
  EXPECT_EQ(compare(v, read(text)), 0);
  std::string out;
  canonicalTo(out, text);
  EXPECT_EQ(out, text);
  auto slices = sliceObject(text);
  ASSERT_TRUE(slices.ok());
  EXPECT_EQ(slices->size(), 100'000u);

  std::string same = "{";
  for (int i = 0; i < 100'000; ++i) same += "\"k\":" + std::to_string(i) + ",";
  same.back() = '}';
  EXPECT_EQ(dump(read(same)), R"({"k":99999})");
  out.clear();
  canonicalTo(out, same);
  EXPECT_EQ(out, R"({"k":99999})");

  std::string digits = "0." + std::string(1'000'000, '7');
  EXPECT_EQ(dump(read(digits)), digits);
  EXPECT_GT(compare(read(digits + "1"), read(digits)), 0);
  EXPECT_LT(compare(read(digits), read(digits + "e1")), 0);
  EXPECT_LT(compare(read("1e-" + digits.substr(2)), read("1")), 0);
  EXPECT_FALSE(parse("1e" + digits.substr(2)).ok());
  (void)read(digits).asDouble();
}

TEST(JsonHostile, nesting_is_bounded_everywhere) {
  auto nested = [](std::size_t n) { return std::string(n, '[') + std::string(n, ']'); };
  EXPECT_TRUE(parse(nested(128)).ok());
  EXPECT_FALSE(parse(nested(129)).ok());
  EXPECT_TRUE(parse(nested(1024), Limits(1'000'000)).ok());
  EXPECT_FALSE(parse(nested(1025), Limits(1'000'000)).ok());
  EXPECT_FALSE(parse(std::string(1'000'000, '[')).ok());
  EXPECT_FALSE(sliceObject("{\"a\":" + nested(128) + "}").ok());
  EXPECT_TRUE(sliceObject("{\"a\":" + nested(127) + "}").ok());
  EXPECT_FALSE(sliceObject("{}", Limits(0)).ok());
}

}  // namespace
}  // namespace godwit::json
