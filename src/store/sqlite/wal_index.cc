#include "store/sqlite/wal_index.h"

#include <sqlite3.h>

#include <atomic>

namespace godwit::store::sqlite {

void WalIndex::attach(sqlite3* db) {
  constexpr int kRegion = 32 * 1024;  // the size SQLite maps it by
  sqlite3_file* file = nullptr;
  void volatile* region = nullptr;
  // Asking the VFS, and not mapping the file ourselves, because closing a descriptor of that file
  // would drop every lock this process has on it.
  bool found = sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file) == SQLITE_OK &&
               file && file->pMethods && file->pMethods->iVersion >= 2 && file->pMethods->xShmMap &&
               file->pMethods->xShmMap(file, 0, kRegion, 0, &region) == SQLITE_OK;
  header_ = found ? static_cast<const volatile unsigned char*>(region) : nullptr;
}

WalIndex::Header WalIndex::read() const {
  // A writer may be at it: a torn copy equals no state that lasts, so it only costs a new snapshot.
  Header copy;
  for (std::size_t i = 0; i < kHeader; ++i) copy[i] = header_[i];
  std::atomic_thread_fence(std::memory_order_acquire);
  return copy;
}

void WalIndex::remember() {
  if (header_) seen_ = read();
}

bool WalIndex::current() const { return header_ && read() == seen_; }

}  // namespace godwit::store::sqlite
