#include "cli/progress.h"

#include <algorithm>
#include <cstdio>
#include <ostream>

namespace godwit::cli {
namespace {

using namespace std::chrono_literals;

constexpr auto kTerminalEvery = 100ms;
constexpr auto kLineEvery = 10s;
constexpr std::size_t kBar = 24;

std::string amount(std::uint64_t n, bool bytes) {
  if (!bytes) return std::to_string(n);
  char text[32];
  std::snprintf(text, sizeof text, "%.1f MiB", static_cast<double>(n) / (1 << 20));
  return text;
}

}  // namespace

std::string clockText(std::chrono::seconds time) {
  long long s = time.count();
  char text[32];
  if (s >= 3600) {
    std::snprintf(text, sizeof text, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
  } else {
    std::snprintf(text, sizeof text, "%lld:%02lld", s / 60, s % 60);
  }
  return text;
}

Progress::Progress(const Context& context, std::string what, Unit unit)
    : context_(context),
      what_(std::move(what)),
      unit_(unit),
      terminal_(context.terminal.err_is_terminal),
      start_(std::chrono::steady_clock::now()),
      shown_(start_) {}

Progress::~Progress() {
  if (drawn_ && terminal_) context_.terminal.err << "\r\033[K" << std::flush;
}

void Progress::update(std::uint64_t done, std::uint64_t total) {
  if (context_.in.quiet) return;
  if (!begun_) first_ = done;
  begun_ = true;
  Time now = std::chrono::steady_clock::now();
  if (now - shown_ < (terminal_ ? std::chrono::milliseconds(kTerminalEvery)
                                : std::chrono::milliseconds(kLineEvery))) {
    return;
  }
  shown_ = now;
  draw(done, total, now);
}

void Progress::draw(std::uint64_t done, std::uint64_t total, Time now) {
  bool bytes = unit_ == Unit::kBytes;
  double seconds = std::chrono::duration<double>(now - start_).count();
  double rate = static_cast<double>(done - std::min(first_, done)) / std::max(seconds, 0.001);
  double part = total == 0 ? 1 : static_cast<double>(done) / static_cast<double>(total);
  std::string line = what_ + " ";
  if (terminal_) {
    auto full = static_cast<std::size_t>(part * kBar);
    line += "[" + std::string(full, '#') + std::string(kBar - std::min(full, kBar), '-') + "] ";
  }
  line += std::to_string(static_cast<int>(part * 100)) + "%  " + amount(done, bytes) + " of " +
          amount(total, bytes) + "  " + amount(static_cast<std::uint64_t>(rate), bytes) + "/s";
  if (rate > 0 && total > done) {
    auto left = static_cast<long long>(static_cast<double>(total - done) / rate);
    line += "  ETA " + clockText(std::chrono::seconds(left));
  }
  if (terminal_) {
    context_.terminal.err << "\r\033[K" << line << std::flush;
  } else {
    context_.terminal.err << line << std::endl;
  }
  drawn_ = true;
}

}  // namespace godwit::cli
