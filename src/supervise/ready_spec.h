#pragma once

#include <string>
#include <string_view>

#include "godwit/result.h"
#include "supervise/units.h"

namespace godwit::supervise {

// One --ready condition.
struct ReadySpec {
  enum class Kind : unsigned char {
    kAuto,      // READY=1, or the warm-up survived
    kNotify,    // READY=1 on $NOTIFY_SOCKET
    kFd,        // a newline on a descriptor
    kProbe,     // HTTP, through an address only this generation answers
    kProbeTcp,  // the same, the connection is enough: something accepts and answers or waits
    kProbeTls,  // the same, a ServerHello
    kTcp,       // dialled as given; {gen} in it is replaced
    kUnix,
    kHttp,
    kExec,
    kDelay,
  };
  Kind kind = Kind::kAuto;
  std::string path;     // of HTTP probes
  std::string address;  // kTcp, kUnix, kHttp: "host:port" or a path, placeholders unexpanded
  std::string command;  // kExec
  int fd = -1;          // kFd; -1: the first one free
  TimeNs delay = 0;     // kDelay

  [[nodiscard]] bool isProbe() const {
    return kind == Kind::kProbe || kind == Kind::kProbeTcp || kind == Kind::kProbeTls;
  }
  [[nodiscard]] bool dials() const {
    return kind == Kind::kTcp || kind == Kind::kUnix || kind == Kind::kHttp;
  }
};

// "auto", "notify", "fd[:N]", "probe:/path", "probe-tcp", "probe-tls:/path", "tcp:HOST:PORT",
// "unix:PATH", "http:[//]HOST:PORT/path", "exec:CMD", "delay:SEC".
Result<ReadySpec> parseReadySpec(std::string_view text);

// "/path[,interval=5s,timeout=2s,fail=3]"
struct LivenessSpec {
  std::string path;  // "" = off
  TimeNs interval = 5 * kSecond;
  TimeNs timeout = 2 * kSecond;
  int fail = 3;
};
Result<LivenessSpec> parseLivenessSpec(std::string_view text);

}  // namespace godwit::supervise
