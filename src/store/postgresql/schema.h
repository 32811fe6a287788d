#pragma once

#include <string_view>

// The tables, indexes, functions and trigger that Kinto's PostgreSQL backends expect, at the
// versions below. Names and behaviour are Kinto's, so that either program can serve the database.
namespace godwit::store::postgresql::schema {

inline constexpr int kStorageVersion = 26;
inline constexpr int kPermissionVersion = 2;
inline constexpr int kOldestStorage = 24;  // what upgrades start from

std::string_view createStorage();
std::string_view createPermission();
std::string_view createCache();

// One step, from `version` to the next. "" when there is none.
std::string_view upgradeStorage(int version);
std::string_view upgradePermission(int version);

}  // namespace godwit::store::postgresql::schema
