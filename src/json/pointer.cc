#include "json/pointer.h"

#include <algorithm>
#include <charconv>

#include "json/patch.h"

namespace godwit::json {

Result<detail::Pointer> detail::parsePointer(std::string_view text) {
  Pointer tokens;
  if (text.empty()) return tokens;
  if (text[0] != '/') return Error(ErrorCode::kInvalid, "pointer does not start with '/'");
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '/') {
      tokens.emplace_back();
    } else if (c != '~') {
      tokens.back() += c;
    } else if (i + 1 < text.size() && (text[i + 1] == '0' || text[i + 1] == '1')) {
      tokens.back() += text[++i] == '0' ? '~' : '/';
    } else {
      return Error(ErrorCode::kInvalid, "pointer holds '~' that is not '~0' or '~1'");
    }
  }
  return tokens;
}

std::optional<std::size_t> detail::arrayIndex(std::string_view token) {
  if (token.empty() || (token[0] == '0' && token.size() > 1)) return std::nullopt;
  std::size_t i = 0;
  auto r = std::from_chars(token.data(), token.data() + token.size(), i);
  if (r.ec != std::errc() || r.ptr != token.data() + token.size()) return std::nullopt;
  return i;
}

const Value* resolvePointer(const Value& document, std::string_view pointer) {
  auto tokens = detail::parsePointer(pointer);
  if (!tokens.ok()) return nullptr;
  const Value* v = &document;
  for (const std::string& token : *tokens) {
    if (v->isArray()) {
      auto i = detail::arrayIndex(token);
      if (!i || *i >= v->asArray().size()) return nullptr;
      v = &v->asArray()[*i];
    } else {
      v = v->get(token);
      if (v == nullptr) return nullptr;
    }
  }
  return v;
}

}  // namespace godwit::json
