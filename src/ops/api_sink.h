#pragma once

#include "ops/api_source.h"
#include "ops/presence.h"

namespace godwit::ops {

// Writes into a running Kinto or Godwit, in batches. What it has already is left alone: an
// interrupted run is gone on with. What the API cannot write (accounts with their password hashes,
// history) is not taken.
class ApiSink final : public Sink {
 public:
  static Result<std::unique_ptr<ApiSink>> open(const std::string& url, const std::string& auth);
  explicit ApiSink(std::shared_ptr<Api> api);

  [[nodiscard]] std::string name() const override { return api_->url(); }
  [[nodiscard]] bool takes(const store::Ref& ref) const override;
  Result<bool> begin(const List& list, store::Timestamp& after) override;
  Result<void> put(const store::Ref& ref, const std::vector<Row>& rows) override;
  Result<void> end(const List&) override { return {}; }
  Result<void> finish() override { return {}; }

  [[nodiscard]] const std::shared_ptr<Api>& api() const { return api_; }

 private:
  struct Pending {
    const Row* row;
    std::string if_match;  // what is there is of that time
  };
  Result<std::vector<Pending>> create(const store::Ref& ref, const std::vector<const Row*>& rows);
  Result<void> replace(const store::Ref& ref, const std::vector<Pending>& rows);
  void check(const store::Ref& ref, const Row& row, const Api::Reply& reply);

  std::shared_ptr<Api> api_;
  Presence presence_;
};

}  // namespace godwit::ops
