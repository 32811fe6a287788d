#include "base/crc32c.h"

#include <gtest/gtest.h>

#include <string>

namespace godwit {
namespace {

TEST(Crc32c, matches_the_vectors_of_rfc_3720) {
  EXPECT_EQ(crc32c(std::string(32, '\0').data(), 32), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff').data(), 32), 0x62a8ab43u);
  EXPECT_EQ(crc32c("123456789", 9), 0xe3069283u);
}

TEST(Crc32c, chains_at_any_split) {
  std::string s = "The bar-tailed godwit flies eleven days without a stop.";
  std::uint32_t whole = crc32c(s.data(), s.size());
  for (std::size_t i = 0; i <= s.size(); ++i) {
    EXPECT_EQ(crc32c(s.data() + i, s.size() - i, crc32c(s.data(), i)), whole) << i;
  }
}

}  // namespace
}  // namespace godwit
