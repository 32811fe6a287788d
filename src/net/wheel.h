#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace godwit::net {

// The coarse deadline list of one loop: a hashed wheel of intrusive nodes. Moving a node to a later
// time is one store, because a node that comes up early is merely filed again; that is what makes a
// deadline per request cheaper than a timer. Times are milliseconds on the loop's clock. Loop
// thread only.
class Wheel {
 public:
  static constexpr std::int64_t kTickMs = 32;
  static constexpr std::int64_t kNever = INT64_MAX;

  class Node {
   public:
    Node() = default;
    Node(const Node&) = delete;
    Node& operator=(const Node&) = delete;
    // Called once `due` has passed; the node is out of the wheel by then and may be filed again.
    virtual void onDeadline() = 0;

   protected:
    ~Node() = default;

   private:
    friend class Wheel;
    Node* prev_ = nullptr;
    Node* next_ = nullptr;
    std::int64_t due_ = kNever;
    std::int64_t tick_ = -1;  // where it is filed; -1: nowhere
  };

  // True when the wheel must be looked at earlier than nextMs() said before.
  bool set(Node& n, std::int64_t due_ms) {
    n.due_ = due_ms;
    if (due_ms == kNever) return false;  // a filed node dies out when its slot comes up
    if (n.tick_ >= 0 && n.tick_ * kTickMs <= due_ms + kTickMs) return false;
    if (n.tick_ >= 0) unlink(n);
    return file(n);
  }
  void remove(Node& n) {
    if (n.tick_ >= 0) unlink(n);
    n.due_ = kNever;
  }
  // When advance() has something to do, or kNever.
  [[nodiscard]] std::int64_t nextMs() const { return next_ == kNever ? kNever : next_ * kTickMs; }

  // Calls onDeadline of every node whose time has come.
  void advance(std::int64_t now_ms) {
    const std::int64_t now_tick = now_ms / kTickMs;
    std::int64_t from = now_;
    if (now_tick - from > kSlots) from = now_tick - kSlots;
    for (std::int64_t t = from; t <= now_tick; ++t) {
      if (used(t)) expire(t, now_ms);
    }
    now_ = now_tick;
    next_ = findNext();
  }
  void start(std::int64_t now_ms) { now_ = now_ms / kTickMs; }

 private:
  static constexpr std::int64_t kSlots = 4096;  // 131 s; later deadlines pass through again

  static std::size_t slotOf(std::int64_t tick) { return static_cast<std::size_t>(tick % kSlots); }
  [[nodiscard]] bool used(std::int64_t tick) const {
    std::size_t s = slotOf(tick);
    return bits_[s / 64] >> (s % 64) & 1;
  }
  bool file(Node& n) {
    std::int64_t tick = (n.due_ + kTickMs - 1) / kTickMs;
    if (tick <= now_) tick = now_ + 1;
    if (tick >= now_ + kSlots) tick = now_ + kSlots - 1;
    std::size_t s = slotOf(tick);
    n.tick_ = tick;
    n.prev_ = nullptr;
    n.next_ = slots_[s];
    if (n.next_) n.next_->prev_ = &n;
    slots_[s] = &n;
    bits_[s / 64] |= std::uint64_t{1} << (s % 64);
    if (tick < next_) {
      next_ = tick;
      return true;
    }
    return false;
  }
  void unlink(Node& n) {
    std::size_t s = slotOf(n.tick_);
    if (cursor_ == &n) cursor_ = n.next_;
    if (n.prev_) {
      n.prev_->next_ = n.next_;
    } else {
      slots_[s] = n.next_;
    }
    if (n.next_) n.next_->prev_ = n.prev_;
    if (!slots_[s]) bits_[s / 64] &= ~(std::uint64_t{1} << (s % 64));
    n.prev_ = n.next_ = nullptr;
    n.tick_ = -1;
  }
  void expire(std::int64_t tick, std::int64_t now_ms) {
    // onDeadline may remove any node, this slot's included: the cursor moves along in unlink().
    for (cursor_ = slots_[slotOf(tick)]; cursor_;) {
      Node* n = cursor_;
      cursor_ = n->next_;
      if (n->tick_ > now_ms / kTickMs) continue;  // filed a revolution ahead
      unlink(*n);
      if (n->due_ == kNever) continue;
      if (n->due_ > now_ms) {
        file(*n);
      } else {
        n->due_ = kNever;
        n->onDeadline();
      }
    }
  }
  [[nodiscard]] std::int64_t findNext() const {
    for (std::int64_t i = 1; i <= kSlots;) {
      std::size_t s = slotOf(now_ + i);
      std::uint64_t word = bits_[s / 64] >> (s % 64);
      if (word) return now_ + i + std::countr_zero(word);
      i += static_cast<std::int64_t>(64 - s % 64);
    }
    return kNever;
  }

  std::array<Node*, kSlots> slots_{};
  std::array<std::uint64_t, kSlots / 64> bits_{};
  std::int64_t now_ = 0;
  std::int64_t next_ = kNever;
  Node* cursor_ = nullptr;
};

}  // namespace godwit::net
