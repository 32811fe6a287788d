#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "godwit/result.h"
#include "kinto/config.h"

namespace godwit::kinto {

// The settings quotas.*, by Kinto's names. Immutable once read; any thread.
class QuotaLimits {
 public:
  enum class Measure : std::uint8_t { kBytes, kItems, kBytesPerItem };

  // kInvalid names the setting that is no size.
  static Result<QuotaLimits> read(const Config& config);

  // quotas.bucket_{bucket}_max_x, else quotas.bucket_max_x.
  [[nodiscard]] std::optional<std::int64_t> ofBucket(std::string_view bucket, Measure m) const;
  // quotas.collection_{bucket}_{collection}_max_x, else quotas.collection_{bucket}_max_x, else
  // quotas.collection_max_x.
  [[nodiscard]] std::optional<std::int64_t> ofCollection(std::string_view bucket,
                                                         std::string_view collection,
                                                         Measure m) const;
  // Of one object: the collection's, else the bucket's. "" for what is in no collection, which the
  // collections' general limit applies to as well.
  [[nodiscard]] std::optional<std::int64_t> ofItem(std::string_view bucket,
                                                   std::string_view collection) const;

 private:
  [[nodiscard]] std::optional<std::int64_t> find(const std::string& key) const;

  // "bucket_beers_max_items", without "quotas."
  std::map<std::string, std::int64_t, std::less<>> limits_;
};

}  // namespace godwit::kinto
