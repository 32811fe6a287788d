#include "kinto/plugins/quota_limits.h"

#include "base/options.h"

namespace godwit::kinto {
namespace {

constexpr std::string_view kPrefix = "quotas.";

std::string_view nameOf(QuotaLimits::Measure m) {
  switch (m) {
    case QuotaLimits::Measure::kBytes:
      return "_max_bytes";
    case QuotaLimits::Measure::kItems:
      return "_max_items";
    default:
      return "_max_bytes_per_item";
  }
}

}  // namespace

Result<QuotaLimits> QuotaLimits::read(const Config& config) {
  QuotaLimits out;
  for (auto it = config.raw.lower_bound(kPrefix);
       it != config.raw.end() && it->first.starts_with(kPrefix); ++it) {
    if (it->second.empty()) continue;
    auto limit = parseSize(it->second);
    if (!limit || *limit > INT64_MAX) {
      return Error(ErrorCode::kInvalid,
                   it->first + ": \"" + it->second + "\" is neither a number nor a size");
    }
    out.limits_.emplace(it->first.substr(kPrefix.size()), static_cast<std::int64_t>(*limit));
  }
  return out;
}

std::optional<std::int64_t> QuotaLimits::find(const std::string& key) const {
  auto it = limits_.find(key);
  return it == limits_.end() ? std::nullopt : std::optional(it->second);
}

std::optional<std::int64_t> QuotaLimits::ofBucket(std::string_view bucket, Measure m) const {
  if (limits_.empty()) return std::nullopt;
  std::string measure(nameOf(m));
  auto own = find("bucket_" + std::string(bucket) + measure);
  return own ? own : find("bucket" + measure);
}

std::optional<std::int64_t> QuotaLimits::ofCollection(std::string_view bucket,
                                                      std::string_view collection,
                                                      Measure m) const {
  if (limits_.empty()) return std::nullopt;
  std::string measure(nameOf(m));
  std::string in_bucket = "collection_" + std::string(bucket);
  if (!collection.empty()) {
    if (auto own = find(in_bucket + "_" + std::string(collection) + measure)) return own;
  }
  auto all = find(in_bucket + measure);
  return all ? all : find("collection" + measure);
}

std::optional<std::int64_t> QuotaLimits::ofItem(std::string_view bucket,
                                                std::string_view collection) const {
  auto limit = ofCollection(bucket, collection, Measure::kBytesPerItem);
  // 0 counts as none, as it did.
  if (limit && *limit != 0) return limit;
  return ofBucket(bucket, Measure::kBytesPerItem);
}

}  // namespace godwit::kinto
