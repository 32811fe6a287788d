#include "supervise/ready_spec.h"

namespace godwit::supervise {
namespace {
bool isPath(std::string_view path) {
  if (path.empty() || path.front() != '/') return false;
  for (char c : path) {
    if (static_cast<unsigned char>(c) <= ' ' || c == 0x7f) return false;
  }
  return true;
}
}  // namespace

Result<ReadySpec> parseReadySpec(std::string_view text) {
  using K = ReadySpec::Kind;
  auto bad = [&](std::string why) {
    return Error(ErrorCode::kInvalid, "--ready " + std::string(text) + ": " + std::move(why));
  };
  ReadySpec out;
  std::size_t colon = text.find(':');
  std::string_view kind = text.substr(0, colon);
  bool has_argument = colon != std::string_view::npos;
  std::string_view argument = has_argument ? text.substr(colon + 1) : "";
  if (kind == "auto" || kind == "notify" || kind == "probe-tcp") {
    out.kind = kind == "auto" ? K::kAuto : kind == "notify" ? K::kNotify : K::kProbeTcp;
    if (has_argument) return bad("takes no argument");
    return out;
  }
  if (kind == "fd") {
    out.kind = K::kFd;
    if (!has_argument) return out;
    auto n = parseInt(argument, 3, 1000);
    if (!n) return bad("descriptor must be 3 to 1000");
    out.fd = static_cast<int>(*n);
    return out;
  }
  if (kind == "probe" || kind == "probe-tls") {
    out.kind = kind == "probe" ? K::kProbe : K::kProbeTls;
    out.path = argument;
    if (out.kind == K::kProbeTls && argument.empty()) out.path = "/";
    if (!isPath(out.path)) return bad("expected a path that begins with /");
    return out;
  }
  if (kind == "tcp" || kind == "unix") {
    out.kind = kind == "tcp" ? K::kTcp : K::kUnix;
    out.address = argument;
    if (argument.empty()) return bad("expected an address");
    return out;
  }
  if (kind == "http") {
    out.kind = K::kHttp;
    if (argument.substr(0, 2) == "//") argument.remove_prefix(2);
    std::size_t slash = argument.find('/');
    out.address = argument.substr(0, slash);
    out.path = slash == std::string_view::npos ? "/" : argument.substr(slash);
    if (out.address.empty() || !isPath(out.path)) return bad("expected http:HOST:PORT/path");
    return out;
  }
  if (kind == "exec") {
    out.kind = K::kExec;
    out.command = argument;
    if (argument.empty()) return bad("expected a command");
    return out;
  }
  if (kind == "delay") {
    out.kind = K::kDelay;
    auto d = parseDuration(argument);
    if (!d || *d == kNever) return bad("expected a time");
    out.delay = *d;
    return out;
  }
  return bad("unknown (hint: auto, notify, fd, probe:/path, tcp:, unix:, http:, exec:, delay:)");
}

Result<LivenessSpec> parseLivenessSpec(std::string_view text) {
  LivenessSpec out;
  auto bad = [&](std::string why) {
    return Error(ErrorCode::kInvalid, "--liveness " + std::string(text) + ": " + std::move(why));
  };
  std::size_t comma = text.find(',');
  out.path = text.substr(0, comma);
  if (!isPath(out.path)) return bad("expected a path that begins with /");
  while (comma != std::string_view::npos) {
    text.remove_prefix(comma + 1);
    comma = text.find(',');
    std::string_view item = text.substr(0, comma);
    std::size_t eq = item.find('=');
    std::string_view key = item.substr(0, eq);
    std::string_view value = eq == std::string_view::npos ? "" : item.substr(eq + 1);
    if (key == "fail") {
      auto n = parseInt(value, 1, 1000);
      if (!n) return bad("fail must be 1 to 1000");
      out.fail = static_cast<int>(*n);
      continue;
    }
    auto d = parseDuration(value);
    if (!d || *d == 0 || *d == kNever) return bad("bad time in '" + std::string(item) + "'");
    if (key == "interval") {
      out.interval = *d;
    } else if (key == "timeout") {
      out.timeout = *d;
    } else {
      return bad("unknown option '" + std::string(key) + "'");
    }
  }
  return out;
}

}  // namespace godwit::supervise
