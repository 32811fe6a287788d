#pragma once

#include <memory>

#include "store/sqlite/writer.h"

namespace godwit::store::sqlite {

// A connection that reads, one snapshot per unit. One thread at a time. Opens on first use and
// again after a failure of the file.
class Reader {
 public:
  Reader(ConnectionOptions options, const Clock& clock)
      : options_(std::move(options)), clock_(clock) {}

  Result<Verdict> run(const Unit& unit);
  // The unit that ran last failed because somebody else had the file locked: worth another try.
  [[nodiscard]] bool wasBusy() const { return busy_; }

 private:
  const ConnectionOptions options_;
  const Clock& clock_;
  std::unique_ptr<Connection> connection_;
  std::optional<SqliteStore> store_;
  bool busy_ = false;
};

}  // namespace godwit::store::sqlite
