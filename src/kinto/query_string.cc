#include "kinto/query_string.h"

#include "base/encoding.h"

namespace godwit::kinto {
namespace {

int hexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Filter values have no business being deep.
constexpr std::size_t kMaxFilterDepth = 32;

}  // namespace

std::string lenientDecode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && hexDigit(text[i + 1]) >= 0 &&
        hexDigit(text[i + 2]) >= 0) {
      out += static_cast<char>(hexDigit(text[i + 1]) * 16 + hexDigit(text[i + 2]));
      i += 2;
    } else {
      out += plus_is_space && text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

std::optional<QueryPairs> parseQuery(std::string_view query) {
  QueryPairs pairs;
  while (!query.empty()) {
    std::size_t end = query.find_first_of("&;");
    std::string_view item = query.substr(0, end);
    query = end == std::string_view::npos ? std::string_view() : query.substr(end + 1);
    if (item.empty()) continue;
    std::size_t equals = item.find('=');
    std::string name = lenientDecode(item.substr(0, equals), true);
    std::string value;
    if (equals != std::string_view::npos) value = lenientDecode(item.substr(equals + 1), true);
    if (!isValidUtf8(name) || !isValidUtf8(value)) return std::nullopt;
    pairs.emplace_back(std::move(name), std::move(value));
  }
  return pairs;
}

json::Value nativeValue(std::string_view text) {
  if (!text.empty()) {
    char c = text.front();
    bool word =
        (c >= 'a' && c <= 'z' && c != 't' && c != 'f' && c != 'n') || (c >= 'A' && c <= 'Z');
    if (!word) {
      auto parsed = json::parse(text, json::Limits(kMaxFilterDepth));
      if (parsed) return std::move(*parsed);
    }
  }
  return json::Value(text);
}

}  // namespace godwit::kinto
