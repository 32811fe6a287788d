#include "base/log.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <climits>
#include <cmath>
#include <condition_variable>
#include <cstdlib>
#include <ctime>
#include <mutex>
#include <shared_mutex>
#include <thread>

#include "base/clock.h"
#include "base/log_tap.h"

namespace godwit::log {
namespace {

struct State {
  std::atomic<int> fd{2};
  std::atomic<Level> level{Level::kInfo};
  std::atomic<Format> format{Format::kText};
  std::atomic<bool> gather{false};
  std::string program = "godwit";
};

State& state() {
  static State s;
  return s;
}

std::atomic<std::uint64_t> g_dropped{0};

// Whole lines, a few at a time. A pipe whose reader is stuck must not stop us, and its O_NONBLOCK
// is not ours to set: ask first. POLLOUT on a pipe promises PIPE_BUF bytes; a longer line may still
// wait for the reader.
void writeLines(int fd, std::string_view lines) {
  while (!lines.empty()) {
    std::size_t n = lines.size();
    if (n > PIPE_BUF) {
      std::size_t cut = lines.rfind('\n', PIPE_BUF - 1);
      n = cut == lines.npos ? lines.find('\n') + 1 : cut + 1;
    }
    pollfd p{fd, POLLOUT, 0};
    if (::poll(&p, 1, 0) != 1 || !(p.revents & POLLOUT) ||
        ::write(fd, lines.data(), n) != static_cast<ssize_t>(n)) {
      auto lost = std::count(lines.begin(), lines.begin() + static_cast<std::ptrdiff_t>(n), '\n');
      g_dropped.fetch_add(static_cast<std::uint64_t>(lost), std::memory_order_relaxed);
    }
    lines.remove_prefix(n);
  }
}

// Lines waiting to be written together by a thread that sleeps while there are none.
class Gatherer {
 public:
  Gatherer() : thread_([this] { run(); }) {}
  ~Gatherer() {
    {
      std::lock_guard lock(mu_);
      stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
    flush();
  }

  void add(std::string_view line, bool urgent) {
    bool first = false;
    {
      std::lock_guard lock(mu_);
      first = lines_.empty();
      if (lines_.size() + line.size() > kMaxGathered) {
        g_dropped.fetch_add(1, std::memory_order_relaxed);
        return;
      }
      lines_ += line;
    }
    if (urgent) {
      flush();
    } else if (first) {
      wake_.notify_one();
    }
  }

  void flush() {
    std::lock_guard writing(writing_);
    {
      std::lock_guard lock(mu_);
      out_.swap(lines_);
    }
    writeLines(state().fd.load(std::memory_order_relaxed), out_);
    out_.clear();
  }

 private:
  static constexpr std::size_t kMaxGathered = 4 << 20;

  void run() {
    std::unique_lock lock(mu_);
    for (;;) {
      wake_.wait(lock, [this] { return stopping_ || !lines_.empty(); });
      if (stopping_) return;
      wake_.wait_for(lock, std::chrono::milliseconds(100), [this] { return stopping_; });
      lock.unlock();
      flush();
      lock.lock();
    }
  }

  std::mutex mu_;
  // Guarded by mu_.
  std::condition_variable wake_;
  std::string lines_;
  bool stopping_ = false;

  std::mutex writing_;
  // Guarded by writing_.
  std::string out_;

  std::thread thread_;
};

Gatherer& gatherer() {
  static Gatherer g;
  return g;
}

constexpr std::string_view kNames[] = {"debug", "info", "warn", "error"};
constexpr std::string_view kColors[] = {"\033[2m", "\033[32m", "\033[33m", "\033[31m"};
constexpr int kSeverity[] = {7, 6, 4, 3};  // syslog numbers, as mozlog uses them

void appendNumber(std::string& out, std::int64_t v) {
  char buf[24];
  auto r = std::to_chars(buf, buf + sizeof buf, v);
  out.append(buf, r.ptr);
}

// At most six decimals; an exponent beyond what 64 bits hold then. The shortest exact form would
// bring 130 kB of tables into every program that logs, the smallest of which has ten times that.
void appendDouble(std::string& out, double v) {
  if (v < 0) {
    out += '-';
    v = -v;
  }
  int exponent = 0;
  for (; v >= 1e12; ++exponent) v /= 10;
  if (v > 0 && v < 1e-4) {
    for (; v < 1; --exponent) v *= 10;
  }
  auto millionths = static_cast<std::int64_t>(std::llround(v * 1e6));
  appendNumber(out, millionths / 1'000'000);
  if (std::int64_t rest = millionths % 1'000'000; rest != 0) {
    std::string digits = std::to_string(1'000'000 + rest);
    digits[0] = '.';
    digits.erase(digits.find_last_not_of('0') + 1);
    out += digits;
  }
  if (exponent != 0) {
    out += 'e';
    appendNumber(out, exponent);
  }
}

void appendValue(std::string& out, const Field& f, bool json) {
  switch (f.kind) {
    case Field::Kind::kInt:
      appendNumber(out, f.i);
      return;
    case Field::Kind::kBool:
      out += f.i ? "true" : "false";
      return;
    case Field::Kind::kDouble:
      if (std::isfinite(f.d)) {
        appendDouble(out, f.d);
      } else {
        out += "null";
      }
      return;
    case Field::Kind::kString:
      break;
  }
  bool plain =
      !json && !f.s.empty() && f.s.find_first_of(" \"=\\\n\r\t\033") == std::string_view::npos;
  if (plain) {
    out += f.s;
  } else {
    appendJsonString(out, f.s);
  }
}

void formatJson(std::string& out, const State& s, Level level, std::string_view event,
                Fields fields, std::int64_t now_ns) {
  out += "{\"Timestamp\":";
  appendNumber(out, now_ns);
  out += ",\"Type\":";
  appendJsonString(out, event);
  out += ",\"Logger\":";
  appendJsonString(out, s.program);
  out += ",\"EnvVersion\":\"2.0\",\"Severity\":";
  appendNumber(out, kSeverity[static_cast<int>(level)]);
  out += ",\"Pid\":";
  appendNumber(out, static_cast<long>(::getpid()));
  out += ",\"Fields\":{";
  bool first = true;
  for (const Field& f : fields) {
    if (f.key.empty()) continue;
    // Keys are names from the source: nothing in them needs escaping.
    out.append(first ? "\"" : ",\"", first ? 1 : 2).append(f.key).append("\":", 2);
    first = false;
    appendValue(out, f, true);
  }
  out += "}}\n";
}

void formatText(std::string& out, bool color, Level level, std::string_view event, Fields fields,
                std::int64_t now_ns) {
  time_t seconds = now_ns / 1'000'000'000;
  tm t{};
  localtime_r(&seconds, &t);
  char stamp[32];
  std::size_t n = std::strftime(stamp, sizeof stamp, "%H:%M:%S", &t);
  auto i = static_cast<std::size_t>(level);
  if (color) out += "\033[2m";
  out.append(stamp, n);
  if (color) out += "\033[0m";
  out += ' ';
  if (color) out += kColors[i];
  out += kNames[i];
  if (color) out += "\033[0m";
  out += ' ';
  out += event;
  for (const Field& f : fields) {
    if (f.key.empty()) continue;
    out += ' ';
    if (color) out += "\033[36m";
    out += f.key;
    if (color) out += "\033[0m";
    out += '=';
    appendValue(out, f, false);
  }
  out += '\n';
}

}  // namespace

namespace {

// ASCII that stands for itself inside a JSON string.
constexpr auto kPlain = [] {
  std::array<bool, 256> t{};
  for (std::size_t c = 0x20; c < 0x7f; ++c) t[c] = c != '"' && c != '\\';
  return t;
}();

}  // namespace

void appendJsonString(std::string& out, std::string_view s) {
  static constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  std::size_t i = 0;
  while (i < s.size()) {
    std::size_t plain = i;
    while (plain < s.size() && kPlain[static_cast<unsigned char>(s[plain])]) ++plain;
    if (plain > i) {
      out.append(s.substr(i, plain - i));
      i = plain;
      continue;
    }
    auto c = static_cast<unsigned char>(s[i]);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c < 0x20 || c == 0x7f) {
      out += "\\u00";
      out += kHex[c >> 4];
      out += kHex[c & 15];
    } else {
      std::size_t len = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
      bool good = c >= 0xc2 && c <= 0xf4 && i + len <= s.size();
      for (std::size_t k = 1; good && k < len; ++k)
        good = (static_cast<unsigned char>(s[i + k]) & 0xc0) == 0x80;
      if (good) {
        out += s.substr(i, len);
        i += len;
        continue;
      }
      out += "\xef\xbf\xbd";
    }
    ++i;
  }
  out += '"';
}

Format formatFor(int fd) {
  if (!::isatty(fd)) return Format::kJson;
  const char* no_color = std::getenv("NO_COLOR");  // NOLINT(concurrency-mt-unsafe): start-up only
  return no_color && *no_color ? Format::kText : Format::kColor;
}

void configure(const Options& options) {
  flush();
  State& s = state();
  s.program = options.program;
  s.fd = options.fd;
  s.level = options.level;
  s.format = options.format;
  s.gather = options.gather;
}

bool enabled(Level level) { return level >= state().level.load(std::memory_order_relaxed); }

namespace {

constexpr int kNoTap = 100;
std::atomic<int> g_tap_level{kNoTap};
std::shared_mutex g_tap_mu;
Tap g_tap;  // guarded by g_tap_mu
thread_local bool t_in_tap = false;

void showToTap(Level level, std::string_view event, Fields fields) {
  if (t_in_tap) return;
  std::shared_lock lock(g_tap_mu);
  if (!g_tap) return;
  t_in_tap = true;
  g_tap(level, event, fields);
  t_in_tap = false;
}

}  // namespace

void setTap(Level least, Tap tap) {
  std::unique_lock lock(g_tap_mu);
  g_tap_level = tap ? static_cast<int>(least) : kNoTap;
  g_tap = std::move(tap);
}

void write(Level level, std::string_view event, Fields fields) {
  if (static_cast<int>(level) >= g_tap_level.load(std::memory_order_relaxed)) {
    showToTap(level, event, fields);
  }
  if (!enabled(level)) return;
  State& s = state();
  thread_local std::string line;
  line.clear();
  Format format = s.format.load(std::memory_order_relaxed);
  std::int64_t now_ns = Clock::system().nowNs();
  if (format == Format::kJson) {
    formatJson(line, s, level, event, fields, now_ns);
  } else {
    formatText(line, format == Format::kColor, level, event, fields, now_ns);
  }
  if (s.gather.load(std::memory_order_relaxed)) {
    gatherer().add(line, level >= Level::kWarn);
  } else {
    writeLines(s.fd.load(std::memory_order_relaxed), line);
  }
}

void flush() {
  if (state().gather.load(std::memory_order_relaxed)) gatherer().flush();
}

std::uint64_t droppedLines() { return g_dropped.load(std::memory_order_relaxed); }

}  // namespace godwit::log
