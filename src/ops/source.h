#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "godwit/result.h"
#include "store/types.h"

namespace godwit::ops {

// An object or tombstone with who may do what with it.
struct Row {
  store::Object object;
  store::Permissions permissions;  // sorted; of a tombstone empty
};

struct List {
  store::Ref ref;
  store::Timestamp timestamp = 0;  // 0: not known
  std::uint64_t rows = 0;          // about how many, for progress
};

struct Page {
  std::vector<Row> rows;
  bool last = false;  // nothing follows for now
};

// Where data comes from: a store, a file, a server. One thread; blocks. Memory grows with the
// number of lists, not of rows.
class Source {
 public:
  virtual ~Source() = default;
  [[nodiscard]] virtual std::string name() const = 0;  // for people, without passwords
  // By parent and resource: what is above comes first.
  virtual Result<std::vector<List>> lists() = 0;
  // Oldest first, tombstones included, those above `after` (-1: all).
  virtual Result<Page> rows(const store::Ref& ref, store::Timestamp after, bool permissions) = 0;
  // What could not be seen, and why; at most a few.
  [[nodiscard]] virtual std::vector<std::string> notes() const { return {}; }
};

// Where data goes. One thread; blocks.
class Sink {
 public:
  virtual ~Sink() = default;
  [[nodiscard]] virtual std::string name() const = 0;
  // Can it hold such lists at all?
  [[nodiscard]] virtual bool takes(const store::Ref&) const { return true; }
  // A list an interrupted run left half written where nothing may come in between, or nullptr.
  [[nodiscard]] virtual const store::Ref* unfinished() const { return nullptr; }
  // false: an earlier run finished it. Else rows above `after` are wanted.
  virtual Result<bool> begin(const List& list, store::Timestamp& after) = 0;
  // Oldest first.
  virtual Result<void> put(const store::Ref& ref, const std::vector<Row>& rows) = 0;
  virtual Result<void> end(const List& list) = 0;
  virtual Result<void> finish() = 0;

  [[nodiscard]] std::uint64_t written() const { return written_; }
  [[nodiscard]] std::uint64_t present() const { return present_; }
  // What could not be written as it was, and why; at most a few.
  [[nodiscard]] const std::vector<std::string>& notes() const { return notes_; }

 protected:
  static constexpr std::size_t kMaxNotes = 20;
  void note(std::string text) {
    if (notes_.size() < kMaxNotes) notes_.push_back(std::move(text));
  }

  std::uint64_t written_ = 0;
  std::uint64_t present_ = 0;
  std::vector<std::string> notes_;
};

}  // namespace godwit::ops
