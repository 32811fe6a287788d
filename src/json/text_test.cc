#include "json/text.h"

#include <gtest/gtest.h>

#include <random>

namespace godwit::json {
namespace {

std::string canonical(std::string_view text) {
  std::string out = "before";
  canonicalTo(out, text);
  EXPECT_EQ(out.substr(0, 6), "before");
  return out.substr(6);
}

TEST(JsonCanonical, drops_space_and_escapes) {
  EXPECT_EQ(canonical(" { \"a\" : [ 1 , -2.50e3 , true ] ,\n\t\"b\" : { } } "),
            R"({"a":[1,-2.50e3,true],"b":{}})");
  EXPECT_EQ(canonical("\"h\xc3\xa9 \\u00e9 \\/ \\u0041 \\ud83d\\udc26 \x7f\""),
            R"("h\u00E9 \u00E9 / A \uD83D\uDC26 \u007F")");
  EXPECT_EQ(canonical("{\"a\":1,\"b\":{\"x\":1,\"x\":2},\"a\":3}"), R"({"a":3,"b":{"x":2}})");
  EXPECT_EQ(canonical(R"([{"a":1},{"a":2}])"), R"([{"a":1},{"a":2}])");
  EXPECT_EQ(canonical(R"({"a":{"a":{"a":1}},"":"","b":["a","a"]})"),
            R"({"a":{"a":{"a":1}},"":"","b":["a","a"]})");
  EXPECT_EQ(canonical(R"({"\u0061":1,"a":2})"), R"({"a":2})");
}

TEST(JsonCanonical, has_room_for_everything_that_grows) {
  for (std::size_t n : {1u, 15u, 16u, 17u, 100u, 5000u}) {
    for (const char* piece : {"\x7f", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x90\xa6", "\\n", "x"}) {
      std::string text = "\"";
      for (std::size_t i = 0; i < n; ++i) text += piece;
      text += "\"";
      EXPECT_EQ(canonical(text), dump(*parse(text)));
    }
  }
}

TEST(JsonSlice, returns_members_as_written) {
  auto s = sliceObject(R"( {"a" : [1, 2] , "k\u00e9y":"v" ,"a":null} )");
  ASSERT_TRUE(s.ok());
  ASSERT_EQ(s->size(), 2u);
  EXPECT_EQ((*s)[0].key, "a");
  EXPECT_EQ((*s)[0].value, "null");
  EXPECT_EQ((*s)[1].key, "k\xc3\xa9y");
  EXPECT_EQ((*s)[1].value, "\"v\"");
  EXPECT_TRUE(sliceObject("{}")->empty());
  EXPECT_EQ(sliceObject("[]").error().message, "Expecting an object");
  EXPECT_EQ(sliceObject("[").error().message, "Parse error at offset 1: Invalid value.");
  EXPECT_EQ(sliceObject("").error().message, "Parse error at offset 0: The document is empty.");
  EXPECT_FALSE(sliceObject("{\"a\":01}").ok());
  EXPECT_FALSE(sliceObject("{\"a\":1}}").ok());
  EXPECT_FALSE(sliceObject("{\"a\":1,}").ok());
}

TEST(JsonNul, is_found_only_when_escaped_oddly) {
  EXPECT_TRUE(textContainsNul(R"({"a":"\u0000"})"));
  EXPECT_TRUE(textContainsNul(R"({"a":"\\\u0000"})"));
  EXPECT_FALSE(textContainsNul(R"({"a":"\\u0000"})"));
  EXPECT_FALSE(textContainsNul(R"({"a":"\u0001"})"));
}

TEST(JsonFindPath, prefers_the_longest_literal_key) {
  const char* text =
      R"({"a":{"b":1,"b.c":{"d":2},"x":"}{,"},"a.b":{"c":3},"h\u00E9":{"\u00E9":[4]},"n":null})";
  EXPECT_EQ(findPath(text, "a.b.c"), "3");  // "a.b" beats "a"
  EXPECT_EQ(findPath(text, "a.b"), R"({"c":3})");
  EXPECT_EQ(findPath(text, "a.b.c.d"), std::nullopt);
  EXPECT_EQ(findPath(text, "a.x"), R"("}{,")");
  EXPECT_EQ(findPath(text, "h\xc3\xa9.\xc3\xa9"), "[4]");
  EXPECT_EQ(findPath(text, "n"), "null");
  EXPECT_EQ(findPath(text, "n.x"), std::nullopt);
  EXPECT_EQ(findPath(text, "missing"), std::nullopt);
  EXPECT_EQ(findPath(text, ""), std::nullopt);
  EXPECT_EQ(findPath(R"({"":1})", ""), "1");
  EXPECT_EQ(findPath("{}", "a"), std::nullopt);
  EXPECT_EQ(findPath(R"({"a":{"b.c":{"d":2}}})", "a.b.c.d"), "2");
}

// Random documents, written in every form the grammar allows.
class Generator {
 public:
  explicit Generator(unsigned seed) : rng_(seed) {}

  std::string value(int level) {
    switch (pick(level > 4 ? 4 : 6)) {
      case 0:
        return pick(2) != 0 ? "null" : pick(2) != 0 ? "true" : "false";
      case 1:
      case 2:
        return number();
      case 3:
        return string();
      case 4: {
        std::string s = "[" + space();
        for (unsigned n = pick(5), i = 0; i < n; ++i) {
          if (i > 0) s += "," + space();
          s += value(level + 1) + space();
        }
        return s + "]";
      }
      default:
        return object(level);
    }
  }
  std::string object(int level) {
    std::string s = "{" + space();
    unsigned n = pick(20) == 0 ? 40 : pick(6);
    for (unsigned i = 0; i < n; ++i) {
      if (i > 0) s += "," + space();
      s += string() + space() + ":" + space() + value(level + 1) + space();
    }
    return s + "}";
  }

 private:
  unsigned pick(unsigned n) { return static_cast<unsigned>(rng_() % n); }
  std::string space() {
    static const char* kinds[] = {"", "", "", " ", "\n", "\t\r\n  "};
    return kinds[pick(6)];
  }
  std::string number() {
    std::string s = pick(2) != 0 ? "-" : "";
    s += pick(3) != 0 ? std::to_string(1 + pick(100'000)) : "0";
    if (pick(3) == 0) s += "." + std::to_string(pick(10'000));
    if (pick(4) == 0) s += "e" + std::to_string(pick(300));
    return s;
  }
  std::string string() {
    static const char* pieces[] = {"a",
                                   "b",
                                   "key",
                                   "a longer run of plain text",
                                   "\\u0061",
                                   "\\n",
                                   "\\/",
                                   "\x7f",
                                   "\xc3\xa9",
                                   "\\u00e9",
                                   "\xe2\x82\xac",
                                   "\xf0\x9f\x90\xa6",
                                   "\\ud83d\\udc26",
                                   "\\\\",
                                   "\\\"",
                                   "."};
    std::string s = "\"";
    for (unsigned n = pick(4), i = 0; i < n; ++i) s += pieces[pick(std::size(pieces))];
    return s + "\"";
  }
  std::mt19937 rng_;
};

TEST(JsonProperties, text_and_document_agree) {
  for (unsigned seed = 0; seed < 20'000; ++seed) {
    std::string text = Generator(seed).object(0);
    auto v = parse(text);
    ASSERT_TRUE(v.ok()) << text << v.error().message;
    std::string dumped = dump(*v);
    ASSERT_EQ(canonical(text), dumped) << text;
    ASSERT_EQ(canonical(dumped), dumped);
    auto again = parse(dumped);
    ASSERT_TRUE(again.ok());
    ASSERT_EQ(*again, *v);
    ASSERT_EQ(dump(*again), dumped);
    ASSERT_EQ(compare(*again, *v), 0);
    auto slices = sliceObject(text);
    ASSERT_TRUE(slices.ok());
    ASSERT_EQ(slices->size(), v->asObject().size());
    for (const Slice& s : *slices) {
      const Value* member = v->get(s.key);
      ASSERT_NE(member, nullptr);
      ASSERT_EQ(canonical(s.value), dump(*member));
      // A key holding dots may be shadowed by no other here: it is the longest match.
      ASSERT_EQ(findPath(dumped, s.key), dump(*member)) << dumped << " " << s.key;
    }
  }
}

TEST(JsonProperties, damaged_text_is_judged_alike) {
  for (unsigned seed = 0; seed < 5'000; ++seed) {
    std::string text = Generator(seed).object(0);
    std::mt19937 rng(seed);
    text[rng() % text.size()] = static_cast<char>(rng());
    if (seed % 3 == 0) text.resize(rng() % text.size());
    auto v = parse(text);
    auto slices = sliceObject(text);
    ASSERT_EQ(slices.ok(), v.ok() && v->isObject()) << text;
    if (!v.ok()) {
      ASSERT_EQ(slices.error().message, v.error().message) << text;
    }
    std::string out;
    canonicalTo(out, text);  // not valid: any output, no harm
    (void)findPath(text, "a.b");
  }
}

}  // namespace
}  // namespace godwit::json
