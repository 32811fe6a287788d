#pragma once

#include <chrono>
#include <optional>

#include "cli/context.h"
#include "json/value.h"
#include "ops/compare.h"
#include "ops/transfer.h"

namespace godwit::cli {

// What `export` and `import` say at the end.
struct MoveReport {
  std::string verb;  // "exported"
  std::string from, to;
  ops::TransferReport moved;
  std::optional<ops::Comparison> check;  // nothing: what was written to cannot be read back
  std::chrono::seconds took{0};
};

// Returns the exit code: kExitDifferent when the check found differences.
int report(const Context& context, const MoveReport& report);

}  // namespace godwit::cli
