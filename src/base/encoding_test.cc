#include "base/encoding.h"

#include <gtest/gtest.h>

#include <set>

#include "base/random.h"

namespace godwit {
namespace {

TEST(Base64, round_trips_every_length) {
  for (std::size_t n = 0; n < 70; ++n) {
    std::string raw(n, '\0');
    randomBytes({reinterpret_cast<unsigned char*>(raw.data()), raw.size()});
    EXPECT_EQ(base64Decode(base64Encode(raw)), raw) << n;
  }
  EXPECT_EQ(base64Encode("any carnal pleas"), "YW55IGNhcm5hbCBwbGVhcw==");
  EXPECT_EQ(base64Decode("_-8"), "\xff\xef");
  EXPECT_EQ(base64Decode("a"), std::nullopt);
  EXPECT_EQ(base64Decode("ab*d"), std::nullopt);
}

TEST(Percent, decodes_and_refuses_broken_escapes) {
  EXPECT_EQ(percentDecode("a%20b+c"), "a b+c");
  EXPECT_EQ(percentDecode("a+c", true), "a c");
  EXPECT_EQ(percentDecode("%4"), std::nullopt);
  EXPECT_EQ(percentDecode("%zz"), std::nullopt);
  EXPECT_EQ(percentEncode("a b/\xc3\xa9", "/"), "a%20b/%C3%A9");
}

TEST(Utf8, follows_the_unicode_table) {
  EXPECT_TRUE(isValidUtf8("h\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\xa6"));
  for (const char* bad :
       {"\x80", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\xff"}) {
    EXPECT_FALSE(isValidUtf8(bad)) << toHex({reinterpret_cast<const unsigned char*>(bad), 1});
  }
}

TEST(Random, ids_are_well_formed_and_distinct) {
  std::set<std::string> seen;
  for (int i = 0; i < 2000; ++i) {
    std::string id = uuid4();
    ASSERT_EQ(id.size(), 36u);
    EXPECT_EQ(id[14], '4');
    EXPECT_NE(std::string("89ab").find(id[19]), std::string::npos);
    EXPECT_TRUE(seen.insert(id).second);
    std::string name = randomName(8);
    EXPECT_TRUE(std::isalnum(static_cast<unsigned char>(name[0])));
  }
}

TEST(ConstantTimeEqual, compares) {
  EXPECT_TRUE(constantTimeEqual("abc", "abc"));
  EXPECT_FALSE(constantTimeEqual("abc", "abd"));
  EXPECT_FALSE(constantTimeEqual("abc", "ab"));
}

}  // namespace
}  // namespace godwit
