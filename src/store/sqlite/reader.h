#pragma once

#include <memory>
#include <optional>

#include "store/sqlite/wal_index.h"
#include "store/sqlite/writer.h"

namespace godwit::store::sqlite {

// A connection that reads. One thread at a time. Opens on first use and again after a failure of
// the file.
class Reader {
 public:
  Reader(ConnectionOptions options, const Clock& clock)
      : options_(std::move(options)), clock_(clock) {}
  ~Reader() { *self_ = nullptr; }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  // One snapshot for the unit alone.
  Result<Verdict> run(const Unit& unit);
  // Units that follow each other in one turn of their loop share a snapshot as long as nobody has
  // committed since it began: beginning and ending one costs more than a read by key. Each unit
  // still sees everything that was committed before it started. On the thread of `unit.home`.
  Result<Verdict> runInTurn(const Unit& unit);
  // The unit that ran last failed because somebody else had the file locked: worth another try.
  [[nodiscard]] bool wasBusy() const { return busy_; }

 private:
  Result<void> open();
  Result<void> begin();
  Result<Verdict> work(const Unit& unit);
  void end();

  const ConnectionOptions options_;
  const Clock& clock_;
  std::unique_ptr<Connection> connection_;
  std::optional<SqliteStore> store_;
  WalIndex wal_;
  bool busy_ = false;
  bool ending_ = false;  // a job that ends the snapshot waits for the end of the turn
  // Jobs that outlive the reader find it empty.
  std::shared_ptr<Reader*> self_ = std::make_shared<Reader*>(this);
};

}  // namespace godwit::store::sqlite
