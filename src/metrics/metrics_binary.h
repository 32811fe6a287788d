#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "godwit/metrics/metrics.h"
#include "godwit/result.h"

// Payload of a type-1 frame: one Metrics. docs/formats/spool.md, "Metrics-binary".
namespace godwit::metrics {

inline constexpr std::uint8_t kMetricsBinaryVersion = 1;
inline constexpr std::size_t kSlotOffset = 2;  // u16: the lane patches its slot in here

// Exact number of bytes that encodeMetrics() will write. Samples of a wrong kind for their list
// are encoded as what they are and come back in the list of their kind.
std::size_t encodedSize(const Metrics& m);
// Writes encodedSize(m) bytes at `out`. Timestamps with explicit_ts == false must be whole
// microseconds: decoding adds the slot (0-999) to them as nanoseconds.
void encodeMetrics(const Metrics& m, std::uint16_t slot, char* out);
std::string encodeMetrics(const Metrics& m, std::uint16_t slot = 0);

// Replaces `out`, reusing its storage. Never throws; on an error (kInvalid: truncated, unknown kind
// or version, a count that the bytes cannot hold, trailing bytes) `out` is unspecified but valid.
Result<void> decodeMetrics(std::string_view payload, Metrics& out);

// Number of samples without decoding them; 0 when the payload is not valid that far.
std::size_t peekSampleCount(std::string_view payload);

}  // namespace godwit::metrics
