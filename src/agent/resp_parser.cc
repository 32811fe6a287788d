#include "agent/resp_parser.h"

#include <charconv>

namespace godwit::agent {
namespace {

// The number behind the type byte at `at`, up to CRLF; `at` moves behind it.
enum class Number { kOk, kMore, kBad };
Number number(std::string_view data, std::size_t& at, long long& out) {
  std::size_t end = data.find("\r\n", at);
  if (end == std::string_view::npos) return data.size() - at > 32 ? Number::kBad : Number::kMore;
  auto r = std::from_chars(data.data() + at + 1, data.data() + end, out);
  if (r.ec != std::errc() || r.ptr != data.data() + end) return Number::kBad;
  at = end + 2;
  return Number::kOk;
}

}  // namespace

RespParser::State RespParser::parse(std::string_view data, std::size_t& used,
                                    std::vector<std::string_view>& args) {
  args.clear();
  used = 0;
  needed_ = 0;
  if (data.empty()) return State::kNeedMore;
  if (data[0] != '*') {
    std::size_t end = data.find('\n');
    if (end == std::string_view::npos) {
      return data.size() > limits_.inline_line ? fail("too big inline request") : State::kNeedMore;
    }
    std::string_view line = data.substr(0, end);
    if (line.size() > limits_.inline_line) return fail("too big inline request");
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    while (!line.empty()) {
      std::size_t a = line.find_first_not_of(" \t");
      if (a == std::string_view::npos) break;
      line.remove_prefix(a);
      std::size_t b = line.find_first_of(" \t");
      args.push_back(line.substr(0, b));
      line.remove_prefix(b == std::string_view::npos ? line.size() : b);
    }
    used = end + 1;
    return State::kDone;
  }
  std::size_t at = 0;
  long long count = 0;
  switch (number(data, at, count)) {
    case Number::kMore:
      return State::kNeedMore;
    case Number::kBad:
      return fail("invalid multibulk length");
    case Number::kOk:
      break;
  }
  if (count > static_cast<long long>(limits_.arguments)) return fail("invalid multibulk length");
  std::size_t total = 0;
  for (long long i = 0; i < count; ++i) {
    if (at >= data.size()) return State::kNeedMore;
    if (data[at] != '$') return fail("expected '$'");
    long long size = 0;
    switch (number(data, at, size)) {
      case Number::kMore:
        return State::kNeedMore;
      case Number::kBad:
        return fail("invalid bulk length");
      case Number::kOk:
        break;
    }
    if (size < 0 || size > static_cast<long long>(limits_.bulk)) return fail("invalid bulk length");
    auto n = static_cast<std::size_t>(size);
    total += n;
    if (total > limits_.bulk * 2) return fail("command too large");
    if (data.size() - at < n + 2) {
      needed_ = at + n + 2;
      return State::kNeedMore;
    }
    if (data[at + n] != '\r' || data[at + n + 1] != '\n') return fail("expected CRLF");
    args.push_back(data.substr(at, n));
    at += n + 2;
  }
  used = at;
  return State::kDone;
}

}  // namespace godwit::agent
