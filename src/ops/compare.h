#pragma once

#include <functional>
#include <string>
#include <vector>

#include "ops/transfer.h"

namespace godwit::ops {

struct Comparison {
  std::uint64_t lists = 0;
  std::uint64_t equal = 0;      // rows that are the same on both sides
  std::uint64_t different = 0;  // missing in the copy, or not the same there
  std::uint64_t extra = 0;      // only in the copy, in lists both have
  std::uint64_t later = 0;      // newer in the original than the copy's list was when it was made
  std::uint64_t replaced = 0;   // older states in the original of what it has newer ones of
  std::vector<std::string> examples;  // of differences, a few
};

struct CompareRequest {
  bool permissions = true;
  bool timestamps = true;  // of the lists
  bool live = false;  // the original is written to: what is newer than the copy is no difference
  // A principal that is not looked at among those who may write: a server adds who writes.
  std::string writer;
  std::function<bool(const store::Ref&)> takes;  // lists to look at; empty: all
};

// Walks along both, row by row: id, timestamp, data, permissions. An older state of an object is
// allowed in the original when a newer one follows there, as in an export of what was written to
// meanwhile; more than 100,000 of these at a time are kLimit.
Result<Comparison> compare(Source& original, Source& copy, const CompareRequest& request,
                           const Progress& progress);

}  // namespace godwit::ops
