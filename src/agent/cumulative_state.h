// agent/<publisher>.state: totals, places and account as one. docs/formats/agent-checkpoint.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "agent/ledger.h"
#include "agent/log_reader.h"
#include "agent/series_store.h"

namespace godwit::agent {

struct CumulativeState {
  Places places;
  Counts counts;
  std::uint64_t pending = 0;        // samples folded and not sent
  std::int64_t delta_start_ns = 0;  // of the running delta
  std::uint64_t dead_seq = 0;       // number of the last dead letter

  [[nodiscard]] std::string encode(const SeriesStore& store) const;
  // False: damaged; `store` is then in no sound state.
  bool decode(std::string_view text, SeriesStore& store);
};

}  // namespace godwit::agent
