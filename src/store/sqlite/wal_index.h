#pragma once

#include <array>
#include <cstddef>

struct sqlite3;

namespace godwit::store::sqlite {

// Tells whether anybody, in this process or another, has committed since a moment ago, without a
// system call: SQLite keeps the state of the write-ahead log in memory that all processes share,
// and its first 48 bytes change with every commit, checkpoint and restart of the log (SQLite's
// "WAL-mode File Format", section 2.3.1). Read only. One thread at a time.
class WalIndex {
 public:
  // Finds the shared memory of `db`, which must have read at least once. Without it current() is
  // never true. Good until `db` is closed.
  void attach(sqlite3* db);
  void detach() { header_ = nullptr; }

  // Takes the state as it is now. Call before the snapshot that is to be kept begins.
  void remember();
  // Nothing was committed since remember().
  [[nodiscard]] bool current() const;
  [[nodiscard]] bool attached() const { return header_ != nullptr; }

 private:
  static constexpr std::size_t kHeader = 48;
  using Header = std::array<unsigned char, kHeader>;
  [[nodiscard]] Header read() const;

  const volatile unsigned char* header_ = nullptr;
  Header seen_{};
};

}  // namespace godwit::store::sqlite
