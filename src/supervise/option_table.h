// The one list of options: what the parser accepts, --help prints, and docs/godwit-run.md lists.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "supervise/options.h"

namespace godwit::supervise {

struct OptionTarget {
  InstanceOptions& instance;
  ServiceOptions& service;
  std::vector<std::string>& warnings;
};

struct OptionInfo {
  std::string_view name;      // without the dashes
  char letter;                // 0 = none
  std::string_view argument;  // "" = a flag
  bool instance;              // of the whole instance, not allowed inside [service]
  std::string_view group;
  std::string_view help;
  std::string_view standard;  // the default, for people
  // An error message without the option's name, or nullopt.
  std::optional<std::string> (*set)(OptionTarget&, std::string_view);
};

const std::vector<OptionInfo>& optionTable();
const OptionInfo* findOption(std::string_view name);
const OptionInfo* findOption(char letter);

std::string renderHelp();
std::string renderOptionsMarkdown();

}  // namespace godwit::supervise
