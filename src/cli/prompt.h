#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "cli/context.h"

namespace godwit::cli {

// Asks on standard error, reads a line from standard input; a secret is not echoed. nullopt: the
// input ended.
std::optional<std::string> ask(const Context& context, std::string_view prompt, bool secret);
// Twice, until both are the same.
std::optional<std::string> askPassword(const Context& context, const std::string& name);
// askPassword() on a terminal; else the first line of standard input.
std::optional<std::string> readPassword(const Context& context, const std::string& name);
// --yes, or "yes" typed on a terminal. Says so when it was not; the exit code is kExitUnconfirmed.
bool confirm(const Context& context, std::string_view what);

bool isAccountName(std::string_view name);
bool isReadonly(const kinto::Settings& settings);
// Whether the settings switch that plugin on, by its own name or as kinto.plugins.NAME.
bool includes(const kinto::Settings& settings, const std::string& wanted);

}  // namespace godwit::cli
