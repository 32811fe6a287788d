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

TEST(JsonParse, says_what_is_wrong_and_where) {
  EXPECT_EQ(errorOf(""), "Expecting value: line 1 column 1 (char 0)");
  EXPECT_EQ(errorOf("[1 2]"), "Expecting ',' delimiter: line 1 column 4 (char 3)");
  EXPECT_EQ(errorOf("[1,]"), "Expecting value: line 1 column 4 (char 3)");
  EXPECT_EQ(errorOf("{\"a\":1,\n }"),
            "Expecting property name enclosed in double quotes: line 2 column 2 (char 9)");
  EXPECT_EQ(errorOf("{\"a\" 1}"), "Expecting ':' delimiter: line 1 column 6 (char 5)");
  EXPECT_EQ(errorOf("{\"a\":1} x"), "Extra data: line 1 column 9 (char 8)");
  EXPECT_EQ(errorOf("[\"h\xc3\xa9\" \"x\"]"), "Expecting ',' delimiter: line 1 column 7 (char 6)");
  EXPECT_EQ(errorOf("\"abc"), "Unterminated string starting at: line 1 column 1 (char 0)");
  EXPECT_EQ(errorOf("\"a\\"), "Unterminated string starting at: line 1 column 1 (char 0)");
  EXPECT_EQ(errorOf("\"a\nb\""), "Invalid control character at: line 1 column 3 (char 2)");
  EXPECT_EQ(errorOf("\"\\x\""), "Invalid \\escape: line 1 column 2 (char 1)");
  EXPECT_EQ(errorOf("\"\\u12g4\""), "Invalid \\uXXXX escape: line 1 column 3 (char 2)");
  EXPECT_EQ(errorOf("\"\xff\""), "Invalid UTF-8: line 1 column 2 (char 1)");
  EXPECT_EQ(errorOf("\"\xed\xa0\x80\""), "Invalid UTF-8: line 1 column 2 (char 1)");
  EXPECT_EQ(errorOf("01"), "Extra data: line 1 column 2 (char 1)");
  EXPECT_EQ(errorOf("-"), "Expecting value: line 1 column 1 (char 0)");
  EXPECT_EQ(errorOf("NaN"), "Expecting value: line 1 column 1 (char 0)");
  EXPECT_EQ(errorOf("\xef\xbb\xbf{}"), "Expecting value: line 1 column 1 (char 0)");
  EXPECT_EQ(errorOf(std::string_view("1\0", 2)), "Extra data: line 1 column 2 (char 1)");
  EXPECT_EQ(errorOf(std::string(200, '[')), "Nesting is too deep: line 1 column 129 (char 128)");
}

TEST(JsonParse, refuses_lone_surrogates) {
  for (const char* text : {R"("\ud800")", R"("\udc00")", R"("\ud800\ud800")", R"("\ud800x")",
                           R"("\ud83dA")", R"({"\udead":1})", R"("\ud800\n12345678")"}) {
    EXPECT_NE(errorOf(text).find("Lone surrogate"), std::string::npos) << text;
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
