#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "godwit/deadline.h"
#include "godwit/result.h"

namespace godwit::store {

struct CopyRequest {
  std::string from;  // "sqlite:///path" or "sqlite:path", or "postgresql://..."
  std::string to;    // the same; the schema must be there ("godwit migrate")
};

struct CopyProgress {
  std::uint64_t done = 0;  // objects and tombstones, those already there included
  std::uint64_t total = 0;
};

struct CopyReport {
  std::uint64_t lists = 0;
  std::uint64_t objects = 0;             // live
  std::uint64_t tombstones = 0;          //
  std::uint64_t entries = 0;             // access control entries and memberships
  std::uint64_t skipped = 0;             // objects an earlier, interrupted copy had brought over
  std::vector<std::string> differences;  // found by the final check; empty: all is equal
};

// Copies objects, tombstones, timestamps, groups' principals and access control entries, from one
// consistent state of the source, which others may go on using. Objects keep their timestamps. Run
// again after an interruption it goes on where it was. The target must be empty or hold the
// beginning of this very copy: anything else in it is reported as a difference, nothing of it is
// removed. At the end every list's count, timestamp and hash and all entries are compared.
// Errors: kInvalid names the object the target cannot hold. Blocks; not on a loop thread.
Result<CopyReport> copyStore(const CopyRequest& request, Deadline deadline,
                             const std::function<void(const CopyProgress&)>& progress);

}  // namespace godwit::store
