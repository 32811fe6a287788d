#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include "base/clock.h"
#include "store/backend.h"

namespace godwit::store {

struct SqliteOptions {
  std::string path;
  const Clock* clock = &Clock::system();  // must outlive the stores

  // Affect load and memory.
  std::size_t max_write_queue = 4096;  // units of work waiting for the writer; full: kUnavailable
  std::size_t max_group = 256;         // units committed together
  std::size_t scan_threads = 2;
  std::size_t max_scan_queue = 256;
  std::size_t wal_limit_bytes = std::size_t{32} << 20;  // checkpoint beyond
  std::size_t writer_cache_kib = 6144;
  std::size_t loop_cache_kib = 3072;                     // per loop
  std::size_t scan_cache_kib = 1024;                     // per scan thread
  std::size_t cache_max_bytes = std::size_t{512} << 10;  // of the Cache: keys and values
  // How long opening waits for another process that holds the writer lock.
  std::chrono::milliseconds open_wait = std::chrono::seconds(25);

  SqliteOptions() = default;
  explicit SqliteOptions(std::string file) : path(std::move(file)) {}
};

struct SqliteStores {
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Cache> cache;  // in the same file; stops with the backend
};

// One SQLite file (docs/formats/sqlite.md), created with mode 0600 when missing. Any number of
// processes may have it open at once: every write and checkpoint runs under a lock on `path`.lock.
// Reads of Mode::kPoint run on the calling loop; at most 64 loops (by Reactor::index()), loops
// beyond that use the scan threads. Both stores must outlive the loops' last call.
// Errors: kOs and kUnavailable (cannot open, locked), kInvalid (another program's or not a
// database), kUnsupported (written by a newer version). Blocks; not on a loop thread.
Result<SqliteStores> openSqlite(const SqliteOptions& options);

}  // namespace godwit::store
