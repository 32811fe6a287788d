#pragma once

#include "ops/api.h"

namespace godwit::ops {

// Reads a running Kinto or Godwit: buckets, collections, groups, records and, for who may see them,
// accounts. Each list is as it was while it was read; there is no one moment for all of them. With
// permissions it asks for every object once more, since lists do not show them.
class ApiSource final : public Source {
 public:
  static Result<std::unique_ptr<ApiSource>> open(const std::string& url, const std::string& auth);
  explicit ApiSource(std::shared_ptr<Api> api) : api_(std::move(api)) {}

  [[nodiscard]] std::string name() const override { return api_->url(); }
  Result<std::vector<List>> lists() override;
  Result<Page> rows(const store::Ref& ref, store::Timestamp after, bool permissions) override;
  [[nodiscard]] std::vector<std::string> notes() const override;

 private:
  Result<std::optional<List>> head(const store::Ref& ref);
  Result<std::vector<std::string>> ids(const std::string& uri);
  Result<Page> account(const store::Ref& ref, store::Timestamp after);
  Result<void> addPermissions(const store::Ref& ref, Page& page);

  std::shared_ptr<Api> api_;
  std::vector<std::string> forbidden_;  // lists
  std::uint64_t hidden_ = 0;            // objects whose permissions are not for us to see
  std::size_t limit_ = 100;             // rows of a page, as large as pages stay small
};

}  // namespace godwit::ops
