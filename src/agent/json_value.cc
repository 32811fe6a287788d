#include "agent/json_value.h"

#include <charconv>

namespace godwit::agent {
namespace {

constexpr int kMaxDepth = 32;

class Reader {
 public:
  explicit Reader(std::string_view text) : s_(text) {}

  Result<JsonValue> document() {
    JsonValue v;
    GODWIT_TRY(value(v, 0));
    space();
    if (at_ != s_.size()) return fail("text after the value");
    return v;
  }

 private:
  Error fail(std::string_view what) const {
    std::size_t line = 1;
    for (char c : s_.substr(0, at_)) line += c == '\n';
    return {ErrorCode::kInvalid, "line " + std::to_string(line) + ": " + std::string(what)};
  }
  void space() {
    while (at_ < s_.size() && std::string_view(" \t\r\n").find(s_[at_]) != std::string_view::npos) {
      ++at_;
    }
  }
  bool take(std::string_view word) {
    if (!s_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }

  Result<> value(JsonValue& out, int depth) {
    space();
    if (depth > kMaxDepth) return fail("nested too deeply");
    if (at_ >= s_.size()) return fail("a value is missing");
    char c = s_[at_];
    if (c == '{') return object(out, depth);
    if (c == '[') return array(out, depth);
    if (c == '"' || c == '\'') {
      std::string text;
      GODWIT_TRY(string(text));
      out.v = std::move(text);
      return {};
    }
    if (take("true") || take("True")) {
      out.v = true;
      return {};
    }
    if (take("false") || take("False")) {
      out.v = false;
      return {};
    }
    if (take("null") || take("None")) return {};
    std::string_view rest = s_.substr(at_);
    std::size_t n = rest.find_first_not_of("+-0123456789.eE");
    rest = rest.substr(0, n);
    double number = 0;
    auto r = std::from_chars(rest.data(), rest.data() + rest.size(), number);
    if (rest.empty() || r.ec != std::errc() || r.ptr != rest.data() + rest.size()) {
      return fail("not a value");
    }
    out.v = number;
    out.number_text = rest;
    at_ += rest.size();
    return {};
  }

  Result<> object(JsonValue& out, int depth) {
    JsonValue::Object members;
    ++at_;
    space();
    while (!take("}")) {
      std::string key;
      space();
      GODWIT_TRY(string(key));
      space();
      if (!take(":")) return fail("':' expected");
      JsonValue member;
      GODWIT_TRY(value(member, depth + 1));
      members.emplace_back(std::move(key), std::move(member));
      space();
      if (take(",")) {
        space();
        continue;
      }
      if (at_ >= s_.size() || s_[at_] != '}') return fail("',' or '}' expected");
    }
    out.v = std::move(members);
    return {};
  }

  Result<> array(JsonValue& out, int depth) {
    JsonValue::Array items;
    ++at_;
    space();
    while (!take("]")) {
      JsonValue item;
      GODWIT_TRY(value(item, depth + 1));
      items.push_back(std::move(item));
      space();
      if (take(",")) {
        space();
        continue;
      }
      if (at_ >= s_.size() || s_[at_] != ']') return fail("',' or ']' expected");
    }
    out.v = std::move(items);
    return {};
  }

  Result<> string(std::string& out) {
    if (at_ >= s_.size() || (s_[at_] != '"' && s_[at_] != '\'')) return fail("a string expected");
    char quote = s_[at_++];
    while (at_ < s_.size() && s_[at_] != quote) {
      char c = s_[at_++];
      if (static_cast<unsigned char>(c) < 0x20) return fail("control character in a string");
      if (c != '\\') {
        out += c;
        continue;
      }
      if (at_ >= s_.size()) break;
      char e = s_[at_++];
      static constexpr std::string_view kFrom = "\"'\\/bfnrt";
      static constexpr std::string_view kTo = "\"'\\/\b\f\n\r\t";
      if (std::size_t k = kFrom.find(e); k != std::string_view::npos) {
        out += kTo[k];
      } else if (e == 'u') {
        unsigned code = 0;
        std::string_view hex = s_.substr(at_, 4);
        auto r = std::from_chars(hex.data(), hex.data() + hex.size(), code, 16);
        if (hex.size() != 4 || r.ptr != hex.data() + 4 || (code >= 0xD800 && code < 0xE000)) {
          return fail("broken \\u escape");
        }
        at_ += 4;
        if (code < 0x80) {
          out += static_cast<char>(code);
        } else if (code < 0x800) {
          out += static_cast<char>(0xC0 | (code >> 6));
          out += static_cast<char>(0x80 | (code & 0x3F));
        } else {
          out += static_cast<char>(0xE0 | (code >> 12));
          out += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
          out += static_cast<char>(0x80 | (code & 0x3F));
        }
      } else {
        return fail("unknown escape");
      }
    }
    if (at_ >= s_.size()) return fail("string without end");
    ++at_;
    return {};
  }

  std::string_view s_;
  std::size_t at_ = 0;
};

}  // namespace

std::string JsonValue::text() const {
  if (const bool* b = std::get_if<bool>(&v)) return *b ? "on" : "off";
  if (std::holds_alternative<double>(v)) return number_text;
  if (const auto* s = std::get_if<std::string>(&v)) return *s;
  return {};
}

Result<JsonValue> parseJsonValue(std::string_view text) { return Reader(text).document(); }

}  // namespace godwit::agent
