#include "agent/inlet.h"

namespace godwit::agent {

using metrics::spool::AppendStatus;
using metrics::spool::SpoolWriter;

Inlet::Inlet(const metrics::spool::WriterOptions& options) : clock_(metrics::StampClock::system()) {
  for (auto& w : writers_) w = std::make_unique<SpoolWriter>(options, clock_);
}

bool Inlet::append(LaneName lane, FrameType type, std::uint16_t samples, std::string_view payload,
                   Source source) {
  auto status = writers_[static_cast<std::size_t>(lane)]->append(
      type, samples, payload, static_cast<std::uint32_t>(source));
  Counter& c = received_[static_cast<std::size_t>(source)];
  if (status == AppendStatus::kDropped) {
    c.refused.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  c.frames.fetch_add(1, std::memory_order_relaxed);
  c.samples.fetch_add(samples, std::memory_order_relaxed);
  return status == AppendStatus::kSpooled;
}

Inlet::Received Inlet::received(Source source) const {
  const Counter& c = received_[static_cast<std::size_t>(source)];
  return {c.frames.load(), c.samples.load(), c.refused.load()};
}

metrics::spool::WriterStats Inlet::stats(LaneName lane) const {
  return writers_[static_cast<std::size_t>(lane)]->stats();
}

void Inlet::close() {
  for (auto& w : writers_) w->close();
}

}  // namespace godwit::agent
