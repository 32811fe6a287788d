#pragma once

#include <cstddef>
#include <memory>

#include "base/clock.h"
#include "store/backend.h"

namespace godwit::store {

// Everything in this process's memory, gone when it ends. For tests, trials and caches of one
// process. Works run on the caller's thread: reads side by side, a write alone.
// `clock` must outlive what is made.
std::unique_ptr<Backend> makeMemoryBackend(const Clock& clock = Clock::system());

struct MemoryCacheLimits {
  std::size_t max_bytes = std::size_t{512} << 10;  // of keys and values; the oldest leave first
  MemoryCacheLimits() = default;
  explicit MemoryCacheLimits(std::size_t bytes) : max_bytes(bytes) {}
};
// Answers before the call returns. A value that alone exceeds the limit is kLimit.
std::unique_ptr<Cache> makeMemoryCache(MemoryCacheLimits limits = {},
                                       const Clock& clock = Clock::system());

}  // namespace godwit::store
