#include "supervise/words.h"

namespace godwit::supervise {

Result<std::vector<std::string>> splitWords(std::string_view text) {
  std::vector<std::string> out;
  std::string word;
  bool in_word = false;
  char quote = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '\\' && quote != '\'') {
      if (++i == text.size()) return Error(ErrorCode::kInvalid, "ends in a backslash");
      word += text[i];
      in_word = true;
    } else if (quote != 0) {
      if (c == quote) {
        quote = 0;
      } else {
        word += c;
      }
    } else if (c == '\'' || c == '"') {
      quote = c;
      in_word = true;
    } else if (c == ' ' || c == '\t') {
      if (in_word) out.push_back(std::move(word));
      word.clear();
      in_word = false;
    } else {
      word += c;
      in_word = true;
    }
  }
  if (quote != 0) return Error(ErrorCode::kInvalid, std::string("unclosed ") + quote);
  if (in_word) out.push_back(std::move(word));
  return out;
}

std::string expandPlaceholders(
    std::string_view text,
    const std::function<std::optional<std::string>(std::string_view, std::string_view)>& lookup) {
  std::string out;
  while (!text.empty()) {
    std::size_t open = text.find('{');
    out += text.substr(0, open);
    if (open == std::string_view::npos) break;
    text.remove_prefix(open);
    std::size_t close = text.find('}');
    if (close == std::string_view::npos) {
      out += text;
      break;
    }
    std::string_view inside = text.substr(1, close - 1);
    std::size_t colon = inside.find(':');
    std::string_view argument = colon == std::string_view::npos ? "" : inside.substr(colon + 1);
    if (auto value = lookup(inside.substr(0, colon), argument)) {
      out += *value;
      text.remove_prefix(close + 1);
    } else {
      out += '{';
      text.remove_prefix(1);
    }
  }
  return out;
}

}  // namespace godwit::supervise
