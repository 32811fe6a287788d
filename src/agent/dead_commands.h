// `godwit-agent dead …` and `godwit-agent cursor …`: text in, text out. They work beside a running
// agent and without one.
#pragma once

#include <string>
#include <vector>

#include "godwit/result.h"

namespace godwit::agent {

// `words` begins with "dead" or "cursor". kInvalid: wrong usage.
Result<std::string> deadCommand(const std::string& spool, const std::vector<std::string>& words);
Result<std::string> cursorCommand(const std::string& spool, const std::vector<std::string>& words);

}  // namespace godwit::agent
