#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "cli/context.h"

namespace godwit::cli {

// Tells how far something has come, with its rate and the time left: on a terminal a line that is
// drawn anew ten times a second, elsewhere a plain line every ten seconds. Nothing with --quiet.
class Progress {
 public:
  enum class Unit : std::uint8_t { kRows, kBytes };
  Progress(const Context& context, std::string what, Unit unit = Unit::kRows);
  ~Progress();  // ends the line
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void update(std::uint64_t done, std::uint64_t total);

 private:
  using Time = std::chrono::steady_clock::time_point;
  void draw(std::uint64_t done, std::uint64_t total, Time now);

  const Context& context_;
  const std::string what_;
  const Unit unit_;
  const bool terminal_;
  const Time start_;
  Time shown_;
  std::uint64_t first_ = 0;  // what an earlier run had done does not count for the rate
  bool begun_ = false;
  bool drawn_ = false;
};

// "1:02:03", "12:34", "0:05"
std::string clockText(std::chrono::seconds time);

}  // namespace godwit::cli
