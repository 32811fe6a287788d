// The one table of settings. Parser, environment names, `config example|show|check` and
// docs/godwit-agent.md all come from it. Any thread; nothing here changes at run time.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "godwit/result.h"

namespace godwit::agent {

enum class OptionType : std::uint8_t { kText, kFlag, kInt, kNumber, kDuration, kSize, kChoice };

struct OptionDef {
  std::string_view section;  // "publisher" stands for every [publisher:NAME]
  std::string_view key;
  OptionType type;
  std::string_view fallback;   // in the file's own notation
  std::string_view help;       // one sentence
  std::string_view choices{};  // kChoice: separated by '|'
  bool secret = false;
};

std::span<const OptionDef> optionTable();
const OptionDef* findOption(std::string_view section, std::string_view key);
std::span<const std::pair<std::string_view, std::string_view>>
sectionTable();  // name, one sentence

// Notation of values; times and sizes are those of base/units.h.
std::optional<bool> parseFlag(std::string_view text);
std::optional<std::int64_t> parseInt(std::string_view text);
std::optional<double> parseNumber(std::string_view text);

// Says in a sentence what is wrong with `text` for this option, or nothing.
std::optional<std::string> checkValue(const OptionDef& option, std::string_view text);

// The candidate closest to `word`, if any is close enough to be meant. For "did you mean".
std::optional<std::string> nearest(std::string_view word, std::span<const std::string> candidates);

}  // namespace godwit::agent
