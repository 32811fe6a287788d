#pragma once

#include <sys/mman.h>

#include <atomic>
#include <cstdint>

namespace godwit::metrics {

// Tells a child that it is one, even when it came to be without pthread_atfork handlers: the
// kernel wipes the page in children. Costs one load.
class ForkMark {
 public:
  ForkMark() {
    void* p = ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return;
    if (::madvise(p, kSize, MADV_WIPEONFORK) != 0) {
      ::munmap(p, kSize);
      return;
    }
    mark_ = static_cast<std::atomic<std::uint32_t>*>(p);
    set();
  }
  ~ForkMark() {
    if (mark_) ::munmap(mark_, kSize);
  }
  ForkMark(const ForkMark&) = delete;
  ForkMark& operator=(const ForkMark&) = delete;

  [[nodiscard]] bool forked() const { return mark_ && mark_->load(std::memory_order_relaxed) == 0; }
  void set() {
    if (mark_) mark_->store(1, std::memory_order_relaxed);
  }

 private:
  static constexpr std::size_t kSize = 4096;
  std::atomic<std::uint32_t>* mark_ = nullptr;
};

}  // namespace godwit::metrics
