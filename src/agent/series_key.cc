#include "agent/series_key.h"

namespace godwit::agent {
namespace {

constexpr char kField = '\x1f';  // between name and tags
constexpr char kValue = '\x1e';  // between a tag's key and value

void append(std::string& key, std::string_view text) {
  for (char c : text) key += c == kField || c == kValue ? '_' : c;
}

}  // namespace

std::string seriesKey(char kind, std::string_view time, std::string_view name,
                      const StatsdTags& tags) {
  std::string key(1, kind);
  key += time;
  key += kField;
  append(key, name);
  for (const auto& [k, v] : tags) {
    key += kField;
    append(key, k);
    key += kValue;
    append(key, v);
  }
  return key;
}

std::string_view splitSeriesKey(std::string_view key, std::string& name, metrics::Dims& dims) {
  key.remove_prefix(1);
  std::string_view time = key.substr(0, key.find(kField));
  key.remove_prefix(time.size() + 1);
  std::size_t n = key.find(kField);
  name = key.substr(0, n);
  while (n != std::string_view::npos) {
    key.remove_prefix(n + 1);
    n = key.find(kField);
    std::string_view tag = key.substr(0, n);
    std::size_t v = tag.find(kValue);
    dims.emplace_back(tag.substr(0, v), tag.substr(v + 1));
  }
  return time;
}

std::string_view nameInKey(std::string_view key) {
  std::size_t begin = key.find(kField) + 1;
  return key.substr(begin, key.find(kField, begin) - begin);
}

bool keyHasTime(std::string_view key) { return key.size() > 1 && key[1] != kField; }

}  // namespace godwit::agent
