#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.h"
#include "godwit/result.h"

// What a setting is, apart from who reads it. A program's settings are one generated table of these
// (defs/), from which parsing, checking, --help and the documentation follow. Any thread.
namespace godwit {

enum class OptionType : std::uint8_t {
  kString,
  kBool,  // true/yes/on/1/t/y and their opposites
  kInt,
  kNumber,
  kList,      // words separated by white space, or a JSON array
  kDuration,  // "30s", "500ms", "5m", "2h", "1d"; a bare number is in the option's unit
  kSize,      // "64KiB", "16MiB", "1GiB", "10k"; a bare number is in bytes
  kChoice,
  kPath,
  kUrl,  // may hold a password, which is masked
};

struct OptionDef {
  std::string_view key;  // without prefix; "{x}" is any name, "{x|y}" is x or y
  OptionType type = OptionType::kString;
  std::string_view fallback;  // the default as text; see has_fallback
  bool has_fallback = false;
  std::int64_t min = std::numeric_limits<std::int64_t>::min();
  std::int64_t max = std::numeric_limits<std::int64_t>::max();
  std::string_view unit;     // "s", "ms", "bytes", "%": of a bare number
  std::string_view choices;  // space separated
  std::string_view env;      // variable, or "" when derived from the key
  std::string_view flag;     // "--port", or ""
  std::string_view aliases;  // older keys, space separated
  std::string_view section;  // heading in the documentation
  bool secret = false;
  bool reloadable = false;
  std::string_view no_effect;  // why it is accepted without effect here, or ""
  std::string_view help;       // one sentence
  std::string_view long_help;

  [[nodiscard]] bool isPattern() const { return key.find('{') != std::string_view::npos; }
};

// Where a value came from, strongest last.
enum class OriginKind : std::uint8_t { kDefault, kFile, kEnvironment, kFlag };
struct Origin {
  OriginKind kind = OriginKind::kDefault;
  std::string name;  // "kinto.ini:12", "KINTO_READONLY", "--port"

  [[nodiscard]] std::string text()
      const;  // "default", "kinto.ini:12", "environment KINTO_READONLY"
};

// nullopt when the text is none of these.
std::optional<std::int64_t> parseInt(std::string_view text);
std::optional<double> parseNumber(std::string_view text);

// "" when `text` is a possible value, else the reason: "is not a whole number". An empty text is
// always possible: it means not set.
std::string whyNot(const OptionDef& option, std::string_view text);

// The row for a key, patterns included (an exact row wins); nullptr when there is none.
const OptionDef* findOption(std::span<const OptionDef> table, std::string_view key);
bool matchesPattern(std::string_view pattern, std::string_view key);
// What the {names} of a pattern stand for when `text` matches it with '.' and '_' taken as the
// same and case ignored, as in names of environment variables; nullopt when it does not.
std::optional<std::string> keyFromEnvironment(std::string_view pattern, std::string_view text);

// Insertions, deletions, replacements and swaps of neighbours; stops counting above `limit`.
std::size_t editDistance(std::string_view a, std::string_view b, std::size_t limit);
// The candidate nearest to `word`, or "" when none is near enough to be what was meant.
std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates);

// The password of a URL, and of every URL in a list, replaced by "***".
std::string maskUrl(std::string_view text);

}  // namespace godwit
