#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace godwit::cli {

struct Command {
  std::string_view name;
  std::string_view summary;
};
// In the order of the help.
const std::vector<Command>& commands();
// "user add" belongs to "user"; "" for a command that stands alone.
std::string_view groupOf(std::string_view command);
// The words that commands of two words begin with.
const std::vector<Command>& groups();

// The text of `godwit help`.
std::string shortHelp();
// What to say of a first word, or a second one below a group, that no command has; "" when the
// words name a command or begin with an option.
std::string whyNoCommand(const std::vector<std::string>& arguments);

}  // namespace godwit::cli
