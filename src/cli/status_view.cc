// The stack's numbers for a terminal.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "cli/stack.h"

namespace godwit::cli {
namespace {

enum class Look : std::uint8_t { kPlain, kBold, kDim, kGood, kWarn, kBad, kAccent };

const json::Value& member(const json::Value& v, std::string_view key) {
  static const json::Value kNothing;
  const json::Value* found = v.get(key);
  return found ? *found : kNothing;
}
double number(const json::Value& v, std::string_view key) {
  const json::Value& m = member(v, key);
  return m.isNumber() ? m.asDouble() : 0;
}
std::string text(const json::Value& v, std::string_view key) {
  const json::Value& m = member(v, key);
  return m.isString() ? m.asString() : "";
}

std::string printed(const char* format, double v) {
  std::array<char, 48> buffer{};
  std::snprintf(buffer.data(), buffer.size(), format, v);
  return buffer.data();
}
std::string count(double n) {
  if (n >= 1e6) return printed("%.1fM", n / 1e6);
  if (n >= 1e4) return printed("%.1fk", n / 1e3);
  return printed(n < 10 && n != std::floor(n) ? "%.1f" : "%.0f", n);
}
std::string latency(double ms) {
  if (ms <= 0) return "-";
  if (ms < 1) return printed("%.0fus", ms * 1e3);
  if (ms < 1000) return printed(ms < 10 ? "%.1fms" : "%.0fms", ms);
  return printed("%.1fs", ms / 1e3);
}
std::string span(double s) {
  if (s < 120) return printed("%.0fs", s);
  if (s < 7200) return printed("%.0fm", s / 60);
  if (s < 172800) return printed("%.0fh", s / 3600);
  return printed("%.0fd", s / 86400);
}
std::string megabytes(double bytes) { return printed("%.1fMiB", bytes / 1048576); }

// Builds lines of at most `width` columns. What is written is ASCII, but for the bars.
class Screen {
 public:
  Screen(std::size_t width, bool color) : width_(width), color_(color) {}

  // Left-aligned into `columns`; 0: as long as it is.
  Screen& put(std::string_view s, std::size_t columns = 0, Look look = Look::kPlain) {
    return cell(std::string(s), columns, look, false);
  }
  Screen& right(std::string_view s, std::size_t columns, Look look = Look::kPlain) {
    return cell(std::string(s), columns, look, true);
  }
  // Eight heights of a block, one column for each value.
  Screen& bars(const std::vector<double>& values) {
    static constexpr std::array<const char*, 9> kBars = {" ", "▁", "▂", "▃", "▄",
                                                         "▅", "▆", "▇", "█"};
    std::size_t room = used_ < width_ ? width_ - used_ : 0;
    std::size_t n = std::min(room, values.size());
    double top = 1;
    for (double v : values) top = std::max(top, v);
    std::string line;
    for (std::size_t i = values.size() - n; i < values.size(); ++i) {
      auto height = static_cast<std::size_t>(std::ceil(values[i] / top * 8));
      line += kBars[std::min<std::size_t>(height, 8)];
    }
    out_ += painted(line, Look::kAccent);
    used_ += n;
    return *this;
  }
  void end() {
    out_ += '\n';
    used_ = 0;
  }
  void heading(std::string_view title) { put(title, 0, Look::kBold).end(); }
  std::string take() { return std::move(out_); }

 private:
  Screen& cell(std::string s, std::size_t columns, Look look, bool right) {
    // A name from elsewhere must not move the cursor.
    for (char& c : s) {
      if (static_cast<unsigned char>(c) < 32 || c == 127) c = ' ';
    }
    if (columns > 0 && s.size() > columns) s.resize(columns);
    std::size_t room = used_ < width_ ? width_ - used_ : 0;
    std::string pad(columns > s.size() ? columns - s.size() : 0, ' ');
    if (s.size() + pad.size() > room) pad.resize(room > s.size() ? room - s.size() : 0);
    if (s.size() > room) s.resize(room);
    used_ += s.size() + pad.size();
    out_ += right ? pad + painted(s, look) : painted(s, look) + pad;
    return *this;
  }
  [[nodiscard]] std::string painted(const std::string& s, Look look) const {
    static constexpr std::array<const char*, 7> kCodes = {"", "1", "2", "32", "33", "31", "36"};
    if (!color_ || look == Look::kPlain || s.empty()) return s;
    return "\033[" + std::string(kCodes[static_cast<std::size_t>(look)]) + "m" + s + "\033[0m";
  }

  std::size_t width_;
  bool color_;
  std::size_t used_ = 0;
  std::string out_;
};

void head(Screen& screen, const json::Value& status) {
  const json::Value& server = member(status, "server");
  screen.put("godwit " + text(server, "version"), 0, Look::kBold);
  if (std::string why = text(server, "error"); !why.empty()) {
    screen.put("  server: " + why, 0, Look::kBad);
  } else if (server.isObject()) {
    screen.put("  pid " + printed("%.0f", number(server, "pid")) + "  up " +
                   span(number(server, "uptime_s")),
               0, Look::kDim);
    bool draining = member(server, "draining") == json::Value(true);
    screen.put(draining ? "  draining" : "  serving", 0, draining ? Look::kWarn : Look::kGood);
  }
  screen.end();
}

void requests(Screen& screen, const json::Value& server) {
  const json::Value& r = member(server, "requests");
  if (!r.isObject()) return;
  double failed = number(r, "failures");
  screen.end();
  screen.put("requests ", 0, Look::kBold).right(count(number(r, "per_second")) + "/s", 9);
  screen.put("  p50 ").put(latency(number(r, "p50_ms")), 7);
  screen.put(" p99 ").put(latency(number(r, "p99_ms")), 7);
  screen.put(" failed ")
      .put(printed("%.2f%%", failed * 100), 7, failed > 0 ? Look::kBad : Look::kPlain);
  screen.put(" 4xx ").put(printed("%.1f%%", number(r, "client_errors") * 100), 6);
  screen.put(" waiting ").put(count(number(r, "waiting")));
  screen.end();
  std::vector<double> history;
  if (const json::Value& h = member(r, "history"); h.isArray()) {
    for (const json::Value& v : h.asArray()) history.push_back(v.isNumber() ? v.asDouble() : 0);
  }
  screen.put("         ").bars(history).put(" last 60 s", 0, Look::kDim).end();
}

void storage(Screen& screen, const json::Value& server) {
  const json::Value& s = member(server, "storage");
  if (!s.isObject()) return;
  screen.end();
  screen.put("storage  ", 0, Look::kBold)
      .put(text(s, "backend") + "  " + text(s, "place"), 0, Look::kDim);
  screen.end();
  for (const char* kind : {"reads", "writes"}) {
    const json::Value& v = member(s, kind);
    screen.put("  ").put(kind, 7).right(count(number(v, "per_second")) + "/s", 9);
    screen.put("  p50 ").put(latency(number(v, "p50_ms")), 7);
    screen.put(" p99 ").put(latency(number(v, "p99_ms")), 7);
    double failed = number(v, "total_failures");
    screen.put(" failed ")
        .put(count(failed), 7, number(v, "failures") > 0 ? Look::kBad : Look::kPlain);
    screen.put(" waiting ").put(count(number(v, "waiting"))).end();
  }
}

Look lookOf(const std::string& state) {
  if (state == "active") return Look::kGood;
  return state == "failing" || state == "killing" ? Look::kBad : Look::kWarn;
}

void generations(Screen& screen, const json::Value& supervisor) {
  screen.end();
  screen.put("generations", 0, Look::kBold);
  if (supervisor.isObject())
    screen.put(
        "  godwit-run " + printed("%.0f", number(supervisor, "pid")) + text(supervisor, "error"), 0,
        Look::kDim);
  screen.end();
  const json::Value& services = member(supervisor, "services");
  if (!services.isArray()) return;
  for (const json::Value& s : services.asArray()) {
    const json::Value& reloads = member(s, "reloads");
    std::string summary = text(s, "state") + ", " + count(number(reloads, "ok")) + " started, " +
                          count(number(reloads, "failed")) + " failed";
    std::string queue;
    if (const json::Value& listeners = member(s, "listen"); listeners.isArray()) {
      for (const json::Value& l : listeners.asArray()) {
        double waiting = 0;
        if (const json::Value& q = member(l, "queue"); q.isArray()) {
          for (const json::Value& n : q.asArray()) waiting += std::max(0.0, n.asDouble());
        }
        queue += "  " + text(l, "addr") + " queue " + count(waiting);
      }
    }
    screen.put("  " + text(s, "service"), 10).put(summary + queue, 0, Look::kDim).end();
    const json::Value& all = member(s, "generations");
    if (!all.isArray()) continue;
    for (const json::Value& g : all.asArray()) {
      std::string state = text(g, "state");
      screen.put("    ").right(count(number(g, "gen")), 4).put("  ").put(state, 11, lookOf(state));
      screen.put("pid ").put(printed("%.0f", number(g, "pid")), 9);
      screen.put("age ").put(span(number(g, "age_s")), 6);
      if (g.get("ready_ms")) screen.put("ready ").put(latency(number(g, "ready_ms")), 8);
      screen.put(megabytes(number(g, "rss"))).end();
    }
    if (const json::Value& f = member(s, "last_failure"); f.isObject()) {
      screen.put(
          "    last failure: generation " + count(number(f, "gen")) + ": " + text(f, "detail"), 0,
          Look::kBad);
      screen.end();
    }
  }
}

void agent(Screen& screen, const json::Value& a) {
  if (!a.isObject()) return;
  screen.end();
  screen.put("metrics  ", 0, Look::kBold);
  if (std::string why = text(a, "error"); !why.empty()) {
    screen.put("agent: " + why, 0, Look::kBad).end();
    return;
  }
  screen.put("agent " + text(a, "state") + ", spool " + megabytes(number(a, "spool_bytes")), 0,
             Look::kDim);
  screen.end();
  const json::Value& publishers = member(a, "publishers");
  if (!publishers.isArray()) return;
  for (const json::Value& p : publishers.asArray()) {
    bool up = member(p, "up") == json::Value(true);
    screen.put("  ")
        .put(text(p, "name"), 14)
        .put(up ? "up" : "down", 6, up ? Look::kGood : Look::kBad);
    screen.put("lag ").put(count(number(p, "spooled")), 8);
    screen.put("published ").put(count(number(p, "published")), 9);
    double dead = number(p, "dead");
    screen.put("dead ").put(count(dead), 6, dead > 0 ? Look::kBad : Look::kPlain);
    if (!up) screen.put(text(p, "last_error"), 0, Look::kDim);
    screen.end();
  }
}

}  // namespace

std::string renderStatus(const json::Value& status, std::size_t width, bool color) {
  Screen screen(width, color);
  head(screen, status);
  requests(screen, member(status, "server"));
  storage(screen, member(status, "server"));
  generations(screen, member(status, "supervisor"));
  agent(screen, member(status, "agent"));
  return screen.take();
}

}  // namespace godwit::cli
