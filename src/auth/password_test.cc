#include "auth/password.h"

#include <gtest/gtest.h>

namespace godwit::auth {
namespace {

TEST(Password, verifies_what_it_hashed_and_nothing_else) {
  auto hash = hashPassword("correct horse", 4);
  ASSERT_TRUE(hash.ok());
  EXPECT_TRUE(hash->starts_with("$2b$04$"));
  EXPECT_EQ(hash->size(), 60u);
  EXPECT_TRUE(verifyPassword("correct horse", *hash));
  EXPECT_FALSE(verifyPassword("correct horsf", *hash));
  EXPECT_FALSE(verifyPassword("", *hash));
  EXPECT_NE(*hash, *hashPassword("correct horse", 4));
}

TEST(Password, verifies_hashes_made_by_others) {
  // The public test vector of OpenBSD's bcrypt for "U*U" and "U*U*", with its three spellings.
  for (const char* prefix : {"$2a$", "$2b$", "$2y$"}) {
    std::string hash =
        std::string(prefix) + "05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
    EXPECT_TRUE(verifyPassword("U*U", hash)) << prefix;
    EXPECT_FALSE(verifyPassword("U*U*", hash)) << prefix;
  }
}

TEST(Password, refuses_what_is_no_bcrypt_hash) {
  for (const char* hash : {"", "x", "$1$salt$abc", "$2b$12$short", "$6$rounds=5000$salt$hash"}) {
    EXPECT_FALSE(verifyPassword("a", hash)) << hash;
  }
  EXPECT_FALSE(hashPassword(std::string_view("a\0b", 3), 4).ok());
  EXPECT_FALSE(hashPassword("a", 99).ok());
}

TEST(Password, beyond_72_bytes_nothing_counts) {
  std::string base(72, 'p');
  auto hash = hashPassword(base + "tail", 4);
  EXPECT_TRUE(verifyPassword(base + "other", *hash));
  EXPECT_FALSE(verifyPassword(base.substr(0, 71), *hash));
}

}  // namespace
}  // namespace godwit::auth
