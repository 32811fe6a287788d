#pragma once

#include "ops/source.h"
#include "store/copy_source.h"

namespace godwit::ops {

// Reads one consistent state of a store, whoever writes to it meanwhile.
class StoreSource final : public Source {
 public:
  // "sqlite:path" or "postgresql://...".
  static Result<std::unique_ptr<StoreSource>> open(const std::string& url);

  [[nodiscard]] std::string name() const override { return name_; }
  Result<std::vector<List>> lists() override;
  Result<Page> rows(const store::Ref& ref, store::Timestamp after, bool permissions) override;

 private:
  std::string name_;
  std::unique_ptr<store::CopySource> store_;
};

// Without password.
std::string publicStoreUrl(const std::string& url);

}  // namespace godwit::ops
