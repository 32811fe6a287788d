#include "base/text.h"

#include <gtest/gtest.h>

namespace godwit {
namespace {

TEST(Text, OnlyAsciiHasCaseSpaceAndDigits) {
  for (int i = 0; i < 256; ++i) {
    char c = static_cast<char>(i);
    bool capital = i >= 'A' && i <= 'Z';
    bool small = i >= 'a' && i <= 'z';
    EXPECT_EQ(lower(c), capital ? static_cast<char>(i + 32) : c) << i;
    EXPECT_EQ(upper(c), small ? static_cast<char>(i - 32) : c) << i;
    EXPECT_EQ(isDigit(c), i >= '0' && i <= '9') << i;
    EXPECT_EQ(isSpace(c), i != 0 && std::string_view(" \t\n\v\f\r").find(c) != std::string::npos)
        << i;
  }
  EXPECT_EQ(lower("If-MATCH \xC3\x84"), "if-match \xC3\x84");
  EXPECT_EQ(upper("sighup\xC3\xA4"), "SIGHUP\xC3\xA4");
}

TEST(Text, ComparesWithoutCase) {
  static_assert(equalIgnoreCase("Content-Type", "content-TYPE"));
  static_assert(equalIgnoreCase("", ""));
  static_assert(!equalIgnoreCase("etag", "etags"));
  // Neighbours of the letters differ from each other in the same bit.
  static_assert(!equalIgnoreCase("@[", "`{"));
}

TEST(Text, TrimsBothEndsAndNothingWithin) {
  static_assert(trim(" \t a b \r\n") == "a b");
  static_assert(trim(" \v\f ").empty());
  static_assert(trimRight("  a ") == "  a");
  EXPECT_EQ(trim("\xC2\xA0x\xC2\xA0"), "\xC2\xA0x\xC2\xA0");  // a no-break space is no white space
}

TEST(Text, SplitKeepsEmptyParts) {
  using Parts = std::vector<std::string_view>;
  EXPECT_EQ(split("", ','), Parts{""});
  EXPECT_EQ(split("a,,b,", ','), (Parts{"a", "", "b", ""}));
}

TEST(Text, WordsAreWhatStandsBetweenWhiteSpace) {
  using Words = std::vector<std::string>;
  EXPECT_EQ(splitWords(" \n "), Words());
  EXPECT_EQ(splitWords("a\n  b\tc "), (Words{"a", "b", "c"}));
}

TEST(Text, DigitsAloneAreDigits) {
  static_assert(isDigits("0123"));
  static_assert(!isDigits("") && !isDigits("-1") && !isDigits("1 "));
}

}  // namespace
}  // namespace godwit
