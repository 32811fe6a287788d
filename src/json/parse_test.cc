#include <gtest/gtest.h>

#include "json/value.h"

namespace godwit::json {
namespace {

std::string errorOf(std::string_view text) {
  auto v = parse(text);
  if (v.ok()) return "accepted";
  EXPECT_EQ(v.error().code, ErrorCode::kInvalid);
  return v.error().message;
}

// What python-rapidjson 1.23, which Kinto reads requests with, says of the same texts.
TEST(JsonParse, says_what_is_wrong_and_where_as_the_predecessor_does) {
  struct Case {
    std::string_view text;
    std::size_t offset;
    std::string_view why;
  };
  constexpr std::string_view kEmpty = "The document is empty.";
  constexpr std::string_view kMore = "The document root must not be followed by other values.";
  constexpr std::string_view kValue = "Invalid value.";
  constexpr std::string_view kName = "Missing a name for object member.";
  constexpr std::string_view kColon = "Missing a colon after a name of object member.";
  constexpr std::string_view kMember = "Missing a comma or '}' after an object member.";
  constexpr std::string_view kElement = "Missing a comma or ']' after an array element.";
  constexpr std::string_view kQuote = "Missing a closing quotation mark in string.";
  constexpr std::string_view kEscape = "Invalid escape character in string.";
  constexpr std::string_view kHex = "Incorrect hex digit after \\u escape in string.";
  constexpr std::string_view kSurrogate = "The surrogate pair in string is invalid.";
  constexpr std::string_view kEncoding = "Invalid encoding in string.";
  constexpr std::string_view kFraction = "Miss fraction part in number.";
  constexpr std::string_view kExponent = "Miss exponent in number.";
  const Case cases[] = {
      {"", 0, kEmpty},
      {"  ", 2, kEmpty},
      {"{} x", 3, kMore},
      {"01", 1, kMore},
      {"-01", 2, kMore},
      {"\"h\xc3\xa9\" x", 6, kMore},
      {"x", 0, kValue},
      {"+1", 0, kValue},
      {"-", 1, kValue},
      {"-a", 1, kValue},
      {"NaN", 0, kValue},
      {"-Infinity", 1, kValue},
      {"nul", 3, kValue},
      {"fals]", 4, kValue},
      {"[", 1, kValue},
      {"[1,]", 3, kValue},
      {"{\"a\":", 5, kValue},
      {"\xef\xbb\xbf{}", 0, kValue},
      {"{'foo>}", 1, kName},
      {"{", 1, kName},
      {"{\"a\":1,\n }", 9, kName},
      {"{\"a\"", 4, kColon},
      {"{\"a\" 1}", 5, kColon},
      {"{\"a\":1", 6, kMember},
      {"{\"a\":1]", 6, kMember},
      {"[1 2]", 3, kElement},
      {"[1}", 2, kElement},
      {"\"abc", 4, kQuote},
      {"\"a\\\"", 4, kQuote},
      {"\"a\\", 2, kEscape},
      {"\"\\x\"", 1, kEscape},
      {"\"\\u12g4\"", 1, kHex},
      {"{\"foo\": \"\\u0d1\"}", 9, kHex},
      {"\"\\ud800\\u12\"", 1, kHex},
      {"\"\\ud800\"", 1, kSurrogate},
      {"\"\\ud800\\u0041\"", 1, kSurrogate},
      {"\"\\ud800\\", 1, kSurrogate},
      {"{\"a\":\"\\ud83d\\\"}", 6, kSurrogate},
      {"\"a\nb\"", 2, kEncoding},
      {std::string_view("\"a\0", 3), 2, kQuote},
      {"1.", 2, kFraction},
      {"[1.e]", 3, kFraction},
      {"1e", 2, kExponent},
      {"1e+", 3, kExponent},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(errorOf(c.text),
              "Parse error at offset " + std::to_string(c.offset) + ": " + std::string(c.why))
        << c.text;
  }
}

TEST(JsonParse, says_of_broken_utf8_what_python_says) {
  const std::string start = "'utf-8' codec can't decode byte";
  EXPECT_EQ(errorOf("\"\xff\""), start + " 0xff in position 1: invalid start byte");
  EXPECT_EQ(errorOf("\"\xa9"), start + " 0xa9 in position 1: invalid start byte");
  EXPECT_EQ(errorOf("\"\xed\xa0\x80\""), start + " 0xed in position 1: invalid continuation byte");
  EXPECT_EQ(errorOf("\"\xe2\x82\""), start + "s in position 1-2: invalid continuation byte");
  EXPECT_EQ(errorOf("\"\xf0\x9f\x90"), start + "s in position 1-3: unexpected end of data");
}

// Further limits than the predecessor's: its parser stops at a zero byte and takes any depth.
TEST(JsonParse, refuses_what_follows_a_zero_byte_and_what_is_too_deep) {
  EXPECT_EQ(errorOf(std::string_view("1\0", 2)),
            "Parse error at offset 1: The document root must not be followed by other values.");
  EXPECT_EQ(errorOf(std::string(200, '[')), "Parse error at offset 128: Nesting is too deep");
}

TEST(JsonParse, refuses_lone_surrogates) {
  for (const char* text : {R"("\ud800")", R"("\udc00")", R"("\ud800\ud800")", R"("\ud800x")",
                           R"("\ud83dA")", R"({"\udead":1})", R"("\ud800\n12345678")"}) {
    EXPECT_NE(errorOf(text).find("surrogate"), std::string::npos) << text;
  }
  EXPECT_EQ(parse(R"("\ud83d\udc26")")->asString(), "\xf0\x9f\x90\xa6");
}

TEST(JsonParse, decodes_escapes) {
  EXPECT_EQ(parse(R"("\"\\\/\b\f\n\r\t\u00e9\u20AC\u0041")")->asString(),
            "\"\\/\b\f\n\r\t\xc3\xa9\xe2\x82\xac"
            "A");
  EXPECT_EQ(parse(R"("\u0000")")->asString(), std::string(1, '\0'));
}

TEST(JsonParse, the_last_of_equal_keys_wins_at_the_place_of_the_first) {
  EXPECT_EQ(dump(*parse(R"({"a":1,"b":2,"\u0061":3})")), R"({"a":3,"b":2})");
}

TEST(JsonDump, is_ascii_with_upper_case_escapes) {
  Value v = *parse("[\"\xc3\xa9\xf0\x9f\x90\xa6\x7f\\u001f\\n/\", true, null, {} , []]");
  EXPECT_EQ(dump(v), R"(["\u00E9\uD83D\uDC26\u007F\u001F\n/",true,null,{},[]])");
  EXPECT_EQ(dump(Value("\xff\xc3")), R"("\uFFFD\uFFFD")");
}

}  // namespace
}  // namespace godwit::json
