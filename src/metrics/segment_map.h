#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "godwit/result.h"
#include "metrics/spool_format.h"

namespace godwit::metrics::spool {

// A segment of our own, mapped for writing. Move only. Unmaps when destroyed.
class SegmentMap {
 public:
  SegmentMap() = default;
  SegmentMap(SegmentMap&& o) noexcept
      : base_(std::exchange(o.base_, nullptr)),
        size_(std::exchange(o.size_, 0)),
        dev_(o.dev_),
        ino_(o.ino_) {}
  SegmentMap& operator=(SegmentMap&& o) noexcept;
  SegmentMap(const SegmentMap&) = delete;
  SegmentMap& operator=(const SegmentMap&) = delete;
  ~SegmentMap();

  // A new file of full, allocated size. kLimit: no space; the name is gone again then.
  static Result<SegmentMap> create(int dir_fd, const std::string& name, std::size_t size);
  // An existing file, which must be a sound segment's size.
  static Result<SegmentMap> open(int dir_fd, const std::string& name);

  [[nodiscard]] char* base() const { return base_; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] SegmentHeader& header() const { return *reinterpret_cast<SegmentHeader*>(base_); }
  explicit operator bool() const { return base_ != nullptr; }
  // Is `name` still this file?
  [[nodiscard]] bool isFile(int dir_fd, const std::string& name) const;
  // Makes the kernel provide the pages now instead of one fault at a time.
  void populate() const;

  [[nodiscard]] std::atomic<std::uint32_t>& lenAt(std::size_t off) const {
    return *reinterpret_cast<std::atomic<std::uint32_t>*>(base_ + off);
  }

 private:
  char* base_ = nullptr;
  std::size_t size_ = 0;
  std::uint64_t dev_ = 0;
  std::uint64_t ino_ = 0;
};

}  // namespace godwit::metrics::spool
