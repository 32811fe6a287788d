#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "godwit/result.h"

namespace godwit::supervise {

// Splits as a shell would, without expansions: blanks separate, '...' and "..." quote, \ escapes.
Result<std::vector<std::string>> splitWords(std::string_view text);

// Replaces {name} and {name:argument} by what `lookup(name, argument)` returns. Braces it does not
// know stay as they are, so that JSON in an argument survives.
std::string expandPlaceholders(
    std::string_view text,
    const std::function<std::optional<std::string>(std::string_view, std::string_view)>& lookup);

}  // namespace godwit::supervise
