#pragma once

#include <functional>

#include "ops/source.h"

namespace godwit::ops {

// Which rows of a list a target has already, asked for in their order: a walk along both lists. A
// page is read only when the walk gets there, so an empty list costs one question.
class Presence {
 public:
  using Read = std::function<Result<Page>(const store::Ref&, store::Timestamp after)>;
  explicit Presence(Read read) : read_(std::move(read)) {}

  void start(const store::Ref& ref) {
    ref_ = ref;
    page_ = Page();
    at_ = 0;
    last_ = -1;
  }
  // REQUIRES rows in the order of their timestamps since start().
  Result<bool> has(const Row& row) {
    for (;;) {
      while (at_ < page_.rows.size() &&
             page_.rows[at_].object.last_modified < row.object.last_modified) {
        ++at_;
      }
      if (at_ < page_.rows.size()) {
        const store::Object& there = page_.rows[at_].object;
        return there.last_modified == row.object.last_modified && there.id == row.object.id;
      }
      if (page_.last) return false;
      auto next = read_(ref_, last_);
      if (!next.ok()) return std::move(next).error();
      page_ = std::move(*next);
      at_ = 0;
      if (!page_.rows.empty()) last_ = page_.rows.back().object.last_modified;
    }
  }

 private:
  Read read_;
  store::Ref ref_;
  Page page_;
  std::size_t at_ = 0;
  store::Timestamp last_ = -1;
};

}  // namespace godwit::ops
