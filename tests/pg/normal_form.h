#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "json/value.h"
#include "test_app.h"

namespace godwit::test {

// The timestamps one server has shown, list by list, in the order in which they first appeared:
// what is the same on two servers is this order, not the time.
class Stamps {
 public:
  // "t0", "t1", ...
  std::string nameOf(const std::string& list, const std::string& time);
  [[nodiscard]] std::size_t count(const std::string& list) const;
  // REQUIRES at < count(list).
  [[nodiscard]] const std::string& at(const std::string& list, std::size_t at) const;
  // Lists below a deleted object begin anew, perhaps within the millisecond they ended in.
  void forgetBelow(const std::string& uri);

 private:
  std::map<std::string, std::vector<std::string>> lists_;
};

// "/buckets/a/collections" of "/buckets/a/collections/c" and of itself; what is below the alias
// "default" bears the user's name in addition.
std::string listOf(std::string_view path, std::string_view user);

// An answer with everything left out that may differ between two servers that do the same: times,
// made-up ids, the order of members and principals, the text of numbers that are equal.
std::string normalForm(const kinto::Seen& seen, const std::string& list, Stamps& stamps);
std::string normalForm(const json::Value& value, const std::string& list, Stamps& stamps);

}  // namespace godwit::test
