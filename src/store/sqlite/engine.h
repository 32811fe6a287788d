#pragma once

#include <array>
#include <atomic>
#include <memory>

#include "store/sqlite/scan_pool.h"
#include "store/sqlite/sqlite.h"

namespace godwit::store::sqlite {

// One open database: the writer, the scan threads, and a reader per loop. Shared by the Backend and
// the Cache of the same file; the last of them closes it.
class Engine {
 public:
  static Result<std::shared_ptr<Engine>> open(const SqliteOptions& options);
  Engine(const SqliteOptions& options, std::unique_ptr<Connection> writer, WriterLock lock);

  // As Backend::run. Exactly one of unit->work and unit->local is set.
  void run(Mode mode, std::unique_ptr<Unit> unit);
  void stop(Deadline deadline);
  [[nodiscard]] const SqliteOptions& options() const { return options_; }

 private:
  static constexpr std::size_t kMaxLoops = 64;

  Reader* readerOf(const Reactor& home);

  // Set once
  const SqliteOptions options_;

  std::atomic<bool> stopped_ = false;
  std::array<std::unique_ptr<Reader>, kMaxLoops> readers_;  // each used by its loop only
  ScanPool scans_;
  Writer writer_;
};

}  // namespace godwit::store::sqlite
