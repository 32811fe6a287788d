#pragma once

#include <map>

#include "ops/presence.h"
#include "store/blocking_store.h"

namespace godwit::ops {

// Writes into a store, others may use it at the same time. What it has already is left alone: an
// interrupted run is gone on with. Who belongs to a group is taken from the group itself.
class StoreSink final : public Sink {
 public:
  // "sqlite:path", created when missing, or "postgresql://..." with its schema.
  static Result<std::unique_ptr<StoreSink>> open(const std::string& url);
  explicit StoreSink(std::string url);

  [[nodiscard]] std::string name() const override;
  Result<bool> begin(const List& list, store::Timestamp& after) override;
  Result<void> put(const store::Ref& ref, const std::vector<Row>& rows) override;
  Result<void> end(const List& list) override;
  Result<void> finish() override { return {}; }

 private:
  std::string url_;
  std::unique_ptr<store::BlockingStore> store_;
  std::map<std::pair<std::string, std::string>, store::Timestamp> there_;  // at the start
  Presence presence_;
  store::Timestamp newest_ = 0;
};

}  // namespace godwit::ops
