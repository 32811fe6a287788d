#include "agent/json_split.h"

#include <string>

namespace godwit::agent {
namespace {

std::size_t skipSpace(std::string_view s, std::size_t at) {
  while (at < s.size() && (s[at] == ' ' || s[at] == '\t' || s[at] == '\n' || s[at] == '\r')) ++at;
  return at;
}

// Index behind the object that begins at `at`, npos if it has no end.
std::size_t objectEnd(std::string_view s, std::size_t at) {
  int depth = 0;
  bool quoted = false;
  for (; at < s.size(); ++at) {
    char c = s[at];
    if (quoted) {
      if (c == '\\') {
        ++at;
      } else if (c == '"') {
        quoted = false;
      }
    } else if (c == '"') {
      quoted = true;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']') {
      if (--depth == 0) return at + 1;
      if (depth < 0) break;
    }
  }
  return std::string_view::npos;
}

}  // namespace

bool splitJsonObjects(std::string_view body, std::size_t limit,
                      std::vector<std::string_view>& out) {
  std::size_t at = skipSpace(body, 0);
  bool array = at < body.size() && body[at] == '[';
  if (array) at = skipSpace(body, at + 1);
  bool need = !array;  // an empty array is fine, an empty body is not
  while (at < body.size() && !(array && body[at] == ']')) {
    if (body[at] != '{' || out.size() >= limit) return false;
    std::size_t end = objectEnd(body, at);
    if (end == std::string_view::npos) return false;
    out.push_back(body.substr(at, end - at));
    need = false;
    at = skipSpace(body, end);
    if (array && at < body.size() && body[at] == ',') {
      at = skipSpace(body, at + 1);
      need = true;
    } else if (array) {
      break;
    }
  }
  if (need) return false;
  if (!array) return true;
  return at < body.size() && body[at] == ']' && skipSpace(body, at + 1) == body.size();
}

}  // namespace godwit::agent
