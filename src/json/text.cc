#include "json/text.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "json/scan.h"

namespace godwit::json {
namespace {

using detail::Scanner;

constexpr std::size_t kPairwiseUpTo = 16;  // members; above, sorting finds equal keys

// Of equal keys the first keeps its place and takes the value of the last.
void dropEqualKeys(std::vector<Slice>& slices) {
  std::size_t n = slices.size();
  bool equal = false;
  if (n <= kPairwiseUpTo) {
    for (std::size_t i = 1; i < n && !equal; ++i) {
      for (std::size_t j = 0; j < i && !equal; ++j) equal = slices[i].key == slices[j].key;
    }
    if (!equal) return;
  }
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&slices](std::size_t a, std::size_t b) {
    int r = slices[a].key.compare(slices[b].key);
    return r != 0 ? r < 0 : a < b;
  });
  std::vector<bool> drop(n);
  for (std::size_t i = 0; i < n;) {
    std::size_t j = i + 1;
    while (j < n && slices[order[j]].key == slices[order[i]].key) drop[order[j++]] = true;
    slices[order[i]].value = slices[order[j - 1]].value;
    i = j;
  }
  std::size_t kept = 0;
  for (std::size_t i = 0; i < n; ++i) {
    if (drop[i]) continue;
    if (kept != i) slices[kept] = std::move(slices[i]);
    ++kept;
  }
  slices.resize(kept);
}

// The closing quote of the string whose opening quote is at `p`, or `end`.
const char* closingQuote(const char* p, const char* end) {
  ++p;
  for (;;) {
    p = detail::skipPlain(p, end);
    if (p == end || *p == '"') return p;
    p += *p == '\\' && end - p > 1 ? 2 : 1;
  }
}

// Past the value at `p` in valid text.
const char* skipValue(const char* p, const char* end) {
  std::size_t open = 0;
  while (p != end) {
    char c = *p;
    if (c == '"') {
      p = closingQuote(p, end);
      if (p == end) return end;
    } else if (c == '{' || c == '[') {
      ++open;
    } else if (c == '}' || c == ']') {
      if (open == 0) return p;
      if (--open == 0) return p + 1;
    } else if (c == ',' && open == 0) {
      return p;
    }
    ++p;
    if (open == 0 && c == '"') return p;
  }
  return p;
}

}  // namespace

Result<std::vector<Slice>> sliceObject(std::string_view text, Limits limits) {
  Scanner scan(text, limits.max_depth);
  std::vector<Slice> slices;
  const char* p = detail::skipSpace(scan.begin(), scan.end());
  if (p == scan.end() || *p != '{' || scan.maxDepth() == 0) {
    // Tell a broken text from a sound one of another kind.
    p = scan.value(p, 0);
    if (p == nullptr || !scan.atEnd(p)) return scan.error();
    return Error(ErrorCode::kInvalid, "Expecting an object");
  }
  p = detail::skipSpace(p + 1, scan.end());
  bool closed = p != scan.end() && *p == '}';
  if (closed) ++p;
  if (!closed) slices.reserve(12);
  while (!closed) {
    Scanner::String key;
    if ((p = scan.member(p, key)) == nullptr) return scan.error();
    const char* start = p;
    if ((p = scan.value(p, 1)) == nullptr) return scan.error();
    Slice& slice = slices.emplace_back();
    if (key.escaped) {
      detail::unescapeTo(slice.key, key.raw);
    } else {
      slice.key = key.raw;
    }
    slice.value = std::string_view(start, static_cast<std::size_t>(p - start));
    if ((p = scan.afterElement(p, '}', closed)) == nullptr) return scan.error();
  }
  if (!scan.atEnd(p)) return scan.error();
  dropEqualKeys(slices);
  return slices;
}

bool textContainsNul(std::string_view valid) {
  static constexpr std::string_view kNul = "\\u0000";
  for (std::size_t at = valid.find(kNul); at != std::string_view::npos;
       at = valid.find(kNul, at + 1)) {
    std::size_t before = at;
    while (before > 0 && valid[before - 1] == '\\') --before;
    if ((at - before) % 2 == 0) return true;  // the backslash is not itself escaped
  }
  return false;
}

std::optional<std::string_view> findPath(std::string_view object_text, std::string_view path) {
  std::string escaped;
  if (detail::skipPlain(path.data(), path.data() + path.size()) != path.data() + path.size()) {
    dumpString(escaped, path);
    path = std::string_view(escaped).substr(1, escaped.size() - 2);
  }
  const char* p = object_text.data();
  const char* end = p + object_text.size();
  while (p != end && *p == '{') {
    ++p;
    std::string_view best;
    std::optional<std::string_view> found;
    while (p != end && *p == '"') {
      const char* close = closingQuote(p, end);
      if (end - close < 3) return std::nullopt;
      std::string_view key(p + 1, static_cast<std::size_t>(close - p - 1));
      const char* start = close + 2;
      p = skipValue(start, end);
      bool leads = path.size() >= key.size() && path.substr(0, key.size()) == key &&
                   (path.size() == key.size() || path[key.size()] == '.');
      if (leads && (!found || key.size() > best.size())) {
        best = key;
        found = std::string_view(start, static_cast<std::size_t>(p - start));
        if (key.size() == path.size()) return found;
      }
      if (p != end && *p == ',') ++p;
    }
    if (!found) return std::nullopt;
    path.remove_prefix(best.size() + 1);
    p = found->data();
    end = p + found->size();
  }
  return std::nullopt;
}

}  // namespace godwit::json
