#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace godwit::store::postgresql {

// PostgreSQL text cannot hold NUL.
inline bool representable(std::string_view s) { return s.find('\0') == std::string_view::npos; }

// Values of a statement's parameters, in order. Strings travel as binary text with their length
// (never quoted, never built into SQL); numbers and JSON as text. Borrowed strings must live until
// the statement has been answered; keep() makes the list own them.
class Params {
 public:
  Params& text(std::string_view borrowed) { return add(borrowed.data(), borrowed.size(), 1); }
  Params& ownText(std::string s);
  // JSON text for a parameter cast to jsonb. Borrowed; ends with NUL (std::string).
  Params& json(const std::string& borrowed) { return add(borrowed.c_str(), borrowed.size(), 0); }
  Params& ownJson(std::string s);
  Params& integer(std::int64_t n);
  Params& integer(std::optional<std::int64_t> n) { return n ? integer(*n) : null(); }
  Params& null() { return add(nullptr, 0, 0); }
  // In binary, for a parameter cast to text[], jsonb[] (of JSON texts) or bigint[].
  Params& texts(const std::vector<std::string_view>& items);
  Params& documents(const std::vector<std::string_view>& items);
  Params& integers(const std::vector<std::int64_t>& items);
  // As text, for a parameter cast to an array of any type.
  Params& array(const std::vector<std::string>& items);

  // Copies what is borrowed, so that the caller need not wait.
  void keep();

  [[nodiscard]] int size() const { return static_cast<int>(values_.size()); }
  [[nodiscard]] const char* const* values() const { return values_.data(); }
  [[nodiscard]] const int* lengths() const { return lengths_.data(); }
  [[nodiscard]] const int* formats() const { return formats_.data(); }
  // PostgreSQL text cannot hold NUL, and lengths are ints.
  [[nodiscard]] bool representable() const { return representable_; }

 private:
  Params& add(const char* p, std::size_t n, int format);
  Params& push(const char* p, std::size_t n, int format);
  Params& strings(std::uint32_t type, char prefix, const std::vector<std::string_view>& items);

  std::vector<const char*> values_;
  std::vector<int> lengths_;
  std::vector<int> formats_;
  std::deque<std::string> owned_;  // a deque: its strings never move
  bool representable_ = true;
};

}  // namespace godwit::store::postgresql
