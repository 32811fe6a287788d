// StatsD out: datagrams over UDP or a unix socket. The protocol cannot tell a repetition from news,
// so by default a batch is sent at most once.
#pragma once

#include "agent/target.h"
#include "base/unique_fd.h"

namespace godwit::agent {

class StatsdTarget final : public Target {
 public:
  StatsdTarget(const Section& settings, const TargetContext& context);

  void addMetrics(const metrics::Metrics& m, std::uint32_t index, const FrameRef& frame,
                  Batch& batch) override;
  void addLine(std::string_view line, std::uint32_t index, const FrameRef& frame,
               Batch& batch) override;
  Outcome send(const Batch& batch, std::size_t first, std::size_t last) override;
  bool repeatable() const override { return !at_most_once_; }
  bool divisible() const override { return false; }

 private:
  bool connect(std::string& why);
  void addSample(const metrics::Dims& dims, const metrics::Sample& s, std::uint32_t index,
                 const FrameRef& frame, Batch& batch);

  // Set once
  std::string address_;
  std::size_t packet_;
  bool tags_;
  bool times_;
  bool at_most_once_;
  std::string host_;
  // Sender thread
  UniqueFd socket_;
  // Where a range that failed half way goes on, so that its first packets are not sent twice.
  const Batch* resume_batch_ = nullptr;
  std::size_t resume_from_ = 0;
};

}  // namespace godwit::agent
