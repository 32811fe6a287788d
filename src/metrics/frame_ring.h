#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "metrics/spool_format.h"

namespace godwit::metrics::spool {

// Frames that wait in memory for a spool, oldest first, bounded in bytes. Not locked.
class FrameRing {
 public:
  struct Item {
    FrameType type{};
    bool has_slot = false;
    std::uint16_t n_samples = 0;
    std::uint32_t source = 0;
    std::int64_t ts_ns = 0;
    std::string payload;
  };
  static constexpr std::size_t kItemCost = 64;  // what an item takes beside its payload

  explicit FrameRing(std::size_t max_bytes) : max_bytes_(max_bytes) {}

  // Drops from the old end to make room. `dropped_*` are what went; a payload larger than the
  // whole ring drops itself. False when it did.
  bool push(Item item, std::uint64_t& dropped_frames, std::uint64_t& dropped_samples) {
    const std::size_t cost = item.payload.size() + kItemCost;
    if (cost > max_bytes_) {
      ++dropped_frames;
      dropped_samples += item.n_samples;
      return false;
    }
    while (bytes_ + cost > max_bytes_) {
      ++dropped_frames;
      dropped_samples += items_.front().n_samples;
      pop();
    }
    bytes_ += cost;
    items_.push_back(std::move(item));
    return true;
  }
  [[nodiscard]] bool empty() const { return items_.empty(); }
  [[nodiscard]] const Item& front() const { return items_.front(); }
  void pop() {
    bytes_ -= items_.front().payload.size() + kItemCost;
    items_.pop_front();
  }
  void clear() {
    items_.clear();
    bytes_ = 0;
  }
  [[nodiscard]] std::size_t frames() const { return items_.size(); }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  const std::size_t max_bytes_;
  std::size_t bytes_ = 0;
  std::deque<Item> items_;
};

}  // namespace godwit::metrics::spool
