#include "store/postgresql/storable.h"

#include <cstdlib>

namespace godwit::store::postgresql {

namespace {

// numeric holds 131,072 digits before and 16,383 after the point, and jsonb prints all of them.
constexpr std::size_t kMaxDigits = 16'000;
constexpr long kMaxExponent = 16'000;

bool inNumber(char c) {
  return (c >= '0' && c <= '9') || c == '.' || c == 'e' || c == 'E' || c == '+' || c == '-';
}

bool fits(std::string_view number) {
  if (number.size() > kMaxDigits) return false;
  auto e = number.find_first_of("eE");
  if (e == std::string_view::npos) return true;
  std::string_view exponent = number.substr(e + 1);
  if (exponent.starts_with('+') || exponent.starts_with('-')) exponent.remove_prefix(1);
  while (exponent.starts_with('0')) exponent.remove_prefix(1);
  if (exponent.size() > 5) return false;
  long n = 0;
  for (char c : exponent) n = n * 10 + (c - '0');
  return n <= kMaxExponent;
}

// Returns the index after the closing quote, or npos when the string holds \u0000.
std::size_t skipString(std::string_view json, std::size_t at) {
  while (at < json.size()) {
    at = json.find_first_of("\"\\", at);
    if (at == std::string_view::npos || json[at] == '"') break;
    if (json.substr(at, 6) == "\\u0000") return std::string_view::npos;
    at += 2;
  }
  return at == std::string_view::npos ? json.size() : at + 1;
}

}  // namespace

Result<void> checkStorable(std::string_view json) {
  std::size_t at = 0;
  while (at < json.size()) {
    char c = json[at];
    if (c == '"') {
      at = skipString(json, at + 1);
      if (at == std::string_view::npos) {
        return Error(ErrorCode::kInvalid, "A string holds a null character");
      }
    } else if (c == '-' || (c >= '0' && c <= '9')) {
      std::size_t end = at;
      while (end < json.size() && inNumber(json[end])) ++end;
      if (!fits(json.substr(at, end - at))) {
        return Error(ErrorCode::kInvalid, "A number is out of the database's range");
      }
      at = end;
    } else {
      ++at;
    }
  }
  return {};
}

}  // namespace godwit::store::postgresql
