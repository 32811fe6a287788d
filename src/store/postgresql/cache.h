#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "store/backend.h"
#include "store/postgresql/backend.h"

namespace godwit::store::postgresql {

// Kinto's cache table. Values that are no text are stored as base64 behind a mark, others as they
// are. Every call is one statement, and is answered within kCacheDeadline.
class PgCache final : public Cache {
 public:
  static constexpr auto kCacheDeadline = std::chrono::seconds(5);
  static constexpr std::size_t kMaxKey = 256;  // characters of the column, prefix included

  PgCache(Options options, std::string prefix)
      : database_(std::move(options)), prefix_(std::move(prefix)) {}

  void get(Reactor& home, std::string_view key, Got done) override;
  void set(Reactor& home, std::string_view key, std::string value, std::chrono::milliseconds ttl,
           Did done) override;
  void expire(Reactor& home, std::string_view key, std::chrono::milliseconds ttl,
              Did done) override;
  void take(Reactor& home, std::string_view key, Got done) override;
  void flush(Reactor& home, Did done) override;
  void ping(Reactor& home, Deadline deadline, std::function<void(bool)> done) override;
  void stop(Deadline deadline) override;

 private:
  using Replied = std::function<void(Reply&)>;
  Result<std::string> columnKey(std::string_view key) const;
  // `changes`: alone in its transaction and never sent twice.
  void ask(Reactor& home, std::string_view sql, Params params, bool changes, Replied done,
           Deadline deadline = Deadline::never());
  void purgeNow(Reactor& home);

  PgBackend database_;  // for its pools
  const std::string prefix_;
  std::atomic<bool> stopped_{false};
  std::atomic<unsigned> sets_{0};
};

}  // namespace godwit::store::postgresql
