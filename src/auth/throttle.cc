#include "auth/throttle.h"

#include <algorithm>
#include <vector>

namespace godwit::auth {

double Throttle::levelAt(const Bucket& bucket, std::int64_t now_ms) const {
  double forgiven = static_cast<double>(now_ms - bucket.at_ms) / 1000 * options_.per_second;
  return std::max(0.0, bucket.level - forgiven);
}

bool Throttle::allows(std::string_view key, std::int64_t now_ms) {
  std::lock_guard lock(mu_);
  auto it = buckets_.find(std::string(key));
  if (it == buckets_.end() || levelAt(it->second, now_ms) + 1 <= options_.burst) return true;
  ++refusals_;
  return false;
}

void Throttle::failed(std::string_view key, std::int64_t now_ms) {
  std::lock_guard lock(mu_);
  if (buckets_.size() >= options_.max_keys && !buckets_.contains(std::string(key)))
    makeRoom(now_ms);
  Bucket& bucket = buckets_[std::string(key)];
  bucket.level = std::min(levelAt(bucket, now_ms) + 1, options_.burst);
  bucket.at_ms = now_ms;
}

void Throttle::makeRoom(std::int64_t now_ms) {
  // One sweep drops every forgiven key; if none is, half of the oldest go. Either way the cost of a
  // sweep is spread over thousands of failures.
  std::erase_if(buckets_, [&](const auto& each) { return levelAt(each.second, now_ms) == 0; });
  if (buckets_.size() < options_.max_keys) return;
  std::vector<std::int64_t> times;
  times.reserve(buckets_.size());
  for (const auto& [key, bucket] : buckets_) times.push_back(bucket.at_ms);
  auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  std::int64_t median = *middle;
  std::size_t to_drop = options_.max_keys / 2 + 1;
  std::erase_if(buckets_, [&](const auto& each) {
    if (to_drop == 0 || each.second.at_ms > median) return false;
    --to_drop;
    return true;
  });
}

void Throttle::succeeded(std::string_view key) {
  std::lock_guard lock(mu_);
  buckets_.erase(std::string(key));
}

std::uint64_t Throttle::refusals() const {
  std::lock_guard lock(mu_);
  return refusals_;
}

std::size_t Throttle::keys() const {
  std::lock_guard lock(mu_);
  return buckets_.size();
}

}  // namespace godwit::auth
