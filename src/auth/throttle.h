#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

namespace godwit::auth {

// Slows down guessing: each key (an account as seen from one address) may fail a number of times at
// once and then at a steady pace. Remembers a bounded number of keys; when full, those that failed
// longest ago are forgotten first. Any thread.
class Throttle {
 public:
  struct Options {
    double burst = 20;        // failures before the pace applies
    double per_second = 0.5;  // failures forgiven per second
    std::size_t max_keys = 10'000;
    Options() {}
  };
  explicit Throttle(Options options = {}) : options_(options) {}

  // May this key try now? `now_ms` is a clock that never goes back.
  [[nodiscard]] bool allows(std::string_view key, std::int64_t now_ms);
  void failed(std::string_view key, std::int64_t now_ms);
  void succeeded(std::string_view key);

  [[nodiscard]] std::uint64_t refusals() const;
  [[nodiscard]] std::size_t keys() const;

 private:
  struct Bucket {
    double level = 0;  // failures not forgiven yet
    std::int64_t at_ms = 0;
  };
  [[nodiscard]] double levelAt(const Bucket& bucket, std::int64_t now_ms) const;
  void makeRoom(std::int64_t now_ms);

  const Options options_;
  mutable std::mutex mu_;
  // Guarded by mu_.
  std::unordered_map<std::string, Bucket> buckets_;
  std::uint64_t refusals_ = 0;
};

}  // namespace godwit::auth
