#pragma once

#include <string>
#include <vector>

#include "kinto/settings.h"

namespace godwit::ops {

enum class Level : std::uint8_t { kOk, kNote, kWarning, kProblem };

struct Finding {
  Level level = Level::kOk;
  std::string check;  // "open files"
  std::string text;   // what is so
  std::string fix;    // what to do about it; "" when there is nothing to do
};
using Findings = std::vector<Finding>;

// Each looks at one part, changes nothing but for a write probe of a store that is there, and takes
// at most some seconds. Blocking.
void examineConfig(const kinto::Settings& settings, Findings& out);
void examineFiles(const kinto::Settings& settings, Findings& out);
void examineStore(const kinto::Settings& settings, Findings& out);
void examineKernel(Findings& out);
void examineClock(Findings& out);

}  // namespace godwit::ops
