#include "json/schema/pattern.h"

#include <re2/re2.h>

#include <cctype>

namespace godwit::json {
namespace {

constexpr std::size_t kMaxSource = 16 * 1024;
constexpr int kMaxMemory = 2 << 20;  // bytes of automaton per pattern

bool isHex(char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; }

// RE2 spells a few escapes differently: \uXXXX is \x{XXXX}, \Z is \z, \/ is /, \cX is a control.
std::string translate(std::string_view s) {
  std::string out;
  out.reserve(s.size() + 8);
  for (std::size_t i = 0; i < s.size(); ++i) {
    if (s[i] != '\\' || i + 1 == s.size()) {
      out += s[i];
      continue;
    }
    char next = s[++i];
    bool four = next == 'u' && i + 4 < s.size() && isHex(s[i + 1]) && isHex(s[i + 2]) &&
                isHex(s[i + 3]) && isHex(s[i + 4]);
    if (four) {
      out += "\\x{";
      out += s.substr(i + 1, 4);
      out += '}';
      i += 4;
    } else if (next == 'Z') {
      out += "\\z";
    } else if (next == '/') {
      out += '/';
    } else if (next == 'c' && i + 1 < s.size() &&
               std::isalpha(static_cast<unsigned char>(s[i + 1]))) {
      static constexpr char kHex[] = "0123456789abcdef";
      int code = std::toupper(static_cast<unsigned char>(s[++i])) - 64;
      out += "\\x";
      out += kHex[code >> 4];
      out += kHex[code & 15];
    } else {
      out += '\\';
      out += next;
    }
  }
  return out;
}

}  // namespace

Pattern::Pattern(std::unique_ptr<re2::RE2> re) : re_(std::move(re)) {}
Pattern::Pattern(Pattern&&) noexcept = default;
Pattern& Pattern::operator=(Pattern&&) noexcept = default;
Pattern::~Pattern() = default;

Result<Pattern> Pattern::compile(std::string_view source) {
  if (source.size() > kMaxSource) return Error(ErrorCode::kLimit, "pattern is too long");
  re2::RE2::Options options(re2::RE2::Quiet);
  options.set_max_mem(kMaxMemory);
  options.set_dot_nl(false);
  auto re = std::make_unique<re2::RE2>(translate(source), options);
  if (!re->ok()) return Error(ErrorCode::kInvalid, "pattern cannot be used: " + re->error());
  return Pattern(std::move(re));
}

bool Pattern::search(std::string_view text) const {
  return re2::RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), *re_);
}

}  // namespace godwit::json
