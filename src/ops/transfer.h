#pragma once

#include <functional>
#include <string>
#include <vector>

#include "ops/source.h"

namespace godwit::ops {

// Rows so far, of about so many.
using Progress = std::function<void(std::uint64_t done, std::uint64_t total)>;

struct TransferReport {
  std::uint64_t lists = 0;
  std::uint64_t objects = 0;     // live, written or there already
  std::uint64_t tombstones = 0;  // likewise
  std::uint64_t written = 0;
  std::uint64_t present = 0;          // brought over by an earlier run
  std::vector<std::string> left_out;  // lists the target cannot hold
  std::vector<std::string> notes;     // see Sink
};

// Brings every list of `from` over, a page at a time. After an interruption it is run again, with
// the same source and target.
Result<TransferReport> transfer(Source& from, Sink& to, bool permissions, const Progress& progress);

}  // namespace godwit::ops
