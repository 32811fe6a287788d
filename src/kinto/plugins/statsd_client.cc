#include "kinto/plugins/statsd_client.h"

#include <netdb.h>
#include <sys/socket.h>

#include <charconv>

namespace godwit::kinto {
namespace {

constexpr std::size_t kMaxPacket = 1432;  // fits an Ethernet frame

std::string numberText(double d) {
  char buf[40];
  auto r = std::to_chars(buf, buf + sizeof buf, d);
  return std::string(buf, r.ptr);
}

// Receivers end the name at the first ':'; '|' and newlines would end the value.
void appendSafe(std::string& out, std::string_view s) {
  for (char c : s) {
    if (c != ':' && c != '|' && c != '\n') out += c;
  }
}

std::string labelText(Labels labels) {
  std::string out;
  for (const Label& l : labels) {
    if (!out.empty()) out += '.';
    out += l.name;
    if (!l.name.empty()) out += '.';
    appendSafe(out, l.value);
  }
  return out;
}

}  // namespace

Result<std::unique_ptr<StatsdClient>> StatsdClient::connect(std::string_view url,
                                                            std::string prefix) {
  constexpr std::string_view kScheme = "udp://";
  std::size_t colon = url.rfind(':');
  if (!url.starts_with(kScheme) || colon < kScheme.size()) {
    return Error(ErrorCode::kInvalid, "must look like udp://host:port");
  }
  std::string host(url.substr(kScheme.size(), colon - kScheme.size()));
  if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
  std::string port(url.substr(colon + 1));
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  if (int e = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &found); e != 0) {
    return Error(ErrorCode::kUnavailable, "cannot resolve " + host + ": " + ::gai_strerror(e));
  }
  UniqueFd fd(::socket(found->ai_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  bool good = fd && ::connect(fd.get(), found->ai_addr, found->ai_addrlen) == 0;
  ::freeaddrinfo(found);
  if (!good) return Error(ErrorCode::kUnavailable, "cannot open a socket to " + host);
  return std::unique_ptr<StatsdClient>(new StatsdClient(std::move(fd), std::move(prefix)));
}

StatsdClient::StatsdClient(UniqueFd fd, std::string prefix)
    : fd_(std::move(fd)), prefix_(prefix.empty() ? "" : std::move(prefix) + ".") {}

StatsdClient::~StatsdClient() { flush(); }

void StatsdClient::count(std::string_view key, double n, Labels labels) {
  if (labels.empty()) return send(key, numberText(n), "c");
  send(key, labelText(labels), "s");
}

void StatsdClient::observe(std::string_view key, double value, Labels) {
  send(key, numberText(value), "g");
}

void StatsdClient::time(std::string_view key, double seconds, Labels labels) {
  if (labels.empty()) return send(key, numberText(seconds * 1000), "ms");
  send(std::string(key) + "." + labelText(labels), numberText(seconds * 1000), "ms");
}

void StatsdClient::send(std::string_view key, std::string_view value, std::string_view type) {
  std::string line = prefix_;
  appendSafe(line, key);
  line += ':';
  line += value;
  line += '|';
  line += type;
  std::lock_guard lock(mu_);
  if (line.size() > kMaxPacket) {
    ++dropped_;
    return;
  }
  if (!packet_.empty() && packet_.size() + 1 + line.size() > kMaxPacket) sendPacket();
  if (!packet_.empty()) packet_ += '\n';
  packet_ += line;
}

void StatsdClient::sendPacket() {
  if (::send(fd_.get(), packet_.data(), packet_.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
    ++dropped_;
  packet_.clear();
}

void StatsdClient::flush() {
  std::lock_guard lock(mu_);
  if (!packet_.empty()) sendPacket();
}

std::uint64_t StatsdClient::droppedPackets() const {
  std::lock_guard lock(mu_);
  return dropped_;
}

}  // namespace godwit::kinto
