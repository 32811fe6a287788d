#include "kinto/rolling_window.h"

#include <algorithm>
#include <cmath>

namespace godwit::kinto {
namespace {

std::int64_t secondOf(RollingWindow::Time t) {
  return std::chrono::duration_cast<std::chrono::seconds>(t.time_since_epoch()).count();
}

}  // namespace

void RollingWindow::add(Time now, std::chrono::nanoseconds took, Outcome outcome) {
  double us = std::max(1.0, static_cast<double>(took.count()) / 1e3);
  int bucket = std::clamp(static_cast<int>(std::lround(std::log2(us) * kSteps)), 0, kBuckets - 1);
  std::int64_t at = secondOf(now);
  std::lock_guard lock(mu_);
  Second& s = ring_[static_cast<std::size_t>(at % kRing)];
  if (s.at != at) {
    s = Second();
    s.at = at;
  }
  if (first_ < 0) first_ = at;
  ++s.count;
  ++s.buckets[static_cast<std::size_t>(bucket)];
  ++total_;
  if (outcome == Outcome::kClientError) ++s.client_errors;
  if (outcome != Outcome::kFailure) return;
  ++s.failures;
  ++total_failures_;
}

const RollingWindow::Second* RollingWindow::find(std::int64_t at) const {
  if (at < 0) return nullptr;
  const Second& s = ring_[static_cast<std::size_t>(at % kRing)];
  return s.at == at ? &s : nullptr;
}

RollingWindow::Summary RollingWindow::summary(Time now) const {
  std::lock_guard lock(mu_);
  Summary out;
  out.total = total_;
  out.total_failures = total_failures_;
  std::int64_t end = secondOf(now);
  if (first_ < 0 || first_ >= end) return out;
  std::int64_t begin = std::max(first_, end - kRecent);
  std::array<std::uint64_t, kBuckets> sum{};
  std::uint64_t client_errors = 0;
  std::uint64_t failures = 0;
  for (std::int64_t at = begin; at < end; ++at) {
    const Second* s = find(at);
    if (!s) continue;
    out.count += s->count;
    client_errors += s->client_errors;
    failures += s->failures;
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += s->buckets[i];
  }
  out.rate = static_cast<double>(out.count) / static_cast<double>(end - begin);
  if (out.count == 0) return out;
  out.client_errors = static_cast<double>(client_errors) / static_cast<double>(out.count);
  out.failures = static_cast<double>(failures) / static_cast<double>(out.count);
  auto quantile = [&](double q) {
    auto rank = static_cast<std::uint64_t>(std::ceil(q * static_cast<double>(out.count)));
    std::size_t i = 0;
    for (std::uint64_t seen = sum[0]; seen < rank && i + 1 < sum.size(); seen += sum[i]) ++i;
    return std::exp2(static_cast<double>(i) / kSteps) / 1e3;
  };
  out.p50_ms = quantile(0.5);
  out.p99_ms = quantile(0.99);
  return out;
}

std::vector<std::uint32_t> RollingWindow::history(Time now) const {
  std::vector<std::uint32_t> out;
  std::int64_t end = secondOf(now);
  std::lock_guard lock(mu_);
  for (std::int64_t at = end - kKept; at < end; ++at) {
    const Second* s = find(at);
    out.push_back(s ? s->count : 0);
  }
  return out;
}

}  // namespace godwit::kinto
