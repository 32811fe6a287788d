#include "supervise/listen_spec.h"

#include <functional>

#include "supervise/units.h"

namespace godwit::supervise {
namespace {

constexpr std::size_t kMaxUnixPath =
    100;  // sockaddr_un holds 108; ".<generation>.tmp" must fit too

Error bad(std::string_view text, std::string why) {
  return Error(ErrorCode::kInvalid, "--listen " + std::string(text) + ": " + std::move(why));
}

bool isName(std::string_view s) {
  if (s.empty() || s.size() > 64) return false;
  for (char c : s) {
    bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                c == '_' || c == '-' || c == '.';
    if (!good) return false;
  }
  return true;
}

std::optional<std::string> parseHostPort(ListenSpec& out, std::string_view text) {
  std::string_view host;
  std::string_view port = text;
  if (!text.empty() && text.front() == '[') {
    std::size_t close = text.find(']');
    if (close == std::string_view::npos || close + 1 >= text.size() || text[close + 1] != ':') {
      return "expected [ADDRESS]:PORT";
    }
    host = text.substr(1, close - 1);
    port = text.substr(close + 2);
    if (host.empty()) return "empty address";
  } else if (std::size_t colon = text.rfind(':'); colon != std::string_view::npos) {
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
    if (host.find(':') != std::string_view::npos) return "write an IPv6 address as [ADDRESS]:PORT";
  }
  auto n = parseInt(port, 1, 65535);
  if (!n) return "port must be 1 to 65535";
  out.host = host;
  out.port = static_cast<std::uint16_t>(*n);
  return std::nullopt;
}

std::optional<std::string> parseAddress(ListenSpec& out, std::string_view text) {
  auto after = [&](std::string_view prefix) {
    if (text.substr(0, prefix.size()) != prefix) return false;
    text.remove_prefix(prefix.size());
    return true;
  };
  if (after("unix:")) {
    bool abstract = !text.empty() && text.front() == '@';
    out.kind = abstract ? ListenKind::kAbstract : ListenKind::kUnix;
    if (abstract) text.remove_prefix(1);
    if (text.empty()) return "empty path";
    if (text.size() > kMaxUnixPath) return "path longer than 100 bytes";
    out.path = text;
    return std::nullopt;
  }
  if (after("fd:")) {
    out.kind = ListenKind::kInherited;
    if (!isName(text)) return "expected fd:NUMBER or fd:NAME";
    out.path = text;
    return std::nullopt;
  }
  if (after("udp:")) {
    out.kind = ListenKind::kUdp;
  } else {
    after("tcp:");
  }
  return parseHostPort(out, text);
}

struct Option {
  std::string_view key;
  std::function<bool(ListenSpec&, std::string_view)> set;
};

template <class T>
bool setInt(T& out, std::string_view v, std::int64_t low, std::int64_t high) {
  auto n = parseInt(v, low, high);
  if (n) out = static_cast<T>(*n);
  return n.has_value();
}

bool setBool(bool& out, std::string_view v) {
  auto b = parseSwitch(v);
  if (b) out = *b;
  return b.has_value();
}

bool setMode(int& out, std::string_view v) {
  auto m = parseMode(v);
  if (m) out = *m;
  return m.has_value();
}

bool setCutover(ListenSpec& s, std::string_view v) {
  if (v == "slots") s.cutover = Cutover::kSlots;
  if (v == "shared") s.cutover = Cutover::kShared;
  return s.cutover.has_value();
}

bool setText(std::string& out, std::string_view v) {
  out = v;
  return !v.empty();
}

bool setMark(ListenSpec& s, std::string_view v) {
  std::uint32_t m = 0;
  if (!setInt(m, v, 0, 0xffffffffLL)) return false;
  s.mark = m;
  return true;
}

bool applyOption(ListenSpec& s, std::string_view key, std::string_view v, bool& known) {
  using S = ListenSpec;
  static const Option kOptions[] = {
      {"backlog", [](S& o, std::string_view t) { return setInt(o.backlog, t, 1, 1 << 20); }},
      {"mode", [](S& o, std::string_view t) { return setMode(o.mode, t); }},
      {"user", [](S& o, std::string_view t) { return setText(o.user, t); }},
      {"group", [](S& o, std::string_view t) { return setText(o.group, t); }},
      {"v6only", [](S& o, std::string_view t) { return setBool(o.v6only, t); }},
      {"nodelay", [](S& o, std::string_view t) { return setBool(o.nodelay, t); }},
      {"defer", [](S& o, std::string_view t) { return setInt(o.defer_s, t, 0, 3600); }},
      {"fastopen", [](S& o, std::string_view t) { return setInt(o.fastopen, t, 0, 65535); }},
      {"mark", setMark},
      {"iface", [](S& o, std::string_view t) { return setText(o.iface, t); }},
      {"freebind", [](S& o, std::string_view t) { return setBool(o.freebind, t); }},
      {"nonblock", [](S& o, std::string_view t) { return setBool(o.nonblock, t); }},
      {"cutover", setCutover},
  };
  for (const Option& o : kOptions) {
    if (o.key == key) {
      known = true;
      return o.set(s, v);
    }
  }
  known = false;
  return false;
}

}  // namespace

std::string ListenSpec::address() const {
  switch (kind) {
    case ListenKind::kUnix:
      return "unix:" + path;
    case ListenKind::kAbstract:
      return "unix:@" + path;
    case ListenKind::kInherited:
      return "fd:" + path;
    case ListenKind::kTcp:
    case ListenKind::kUdp:
      break;
  }
  std::string out = kind == ListenKind::kUdp ? "udp:" : "";
  if (host.empty()) {
    out += "0.0.0.0";
  } else if (host.find(':') != std::string::npos) {
    out += "[" + host + "]";
  } else {
    out += host;
  }
  return out + ":" + std::to_string(port);
}

Cutover ListenSpec::wantedCutover() const {
  if (kind == ListenKind::kUdp || kind == ListenKind::kAbstract) return Cutover::kShared;
  return cutover.value_or(Cutover::kSlots);
}

bool ListenSpec::sameSocket(const ListenSpec& o) const {
  return kind == o.kind && host == o.host && port == o.port && path == o.path &&
         backlog == o.backlog && mode == o.mode && user == o.user && group == o.group &&
         v6only == o.v6only && nodelay == o.nodelay && defer_s == o.defer_s &&
         fastopen == o.fastopen && mark == o.mark && iface == o.iface && freebind == o.freebind &&
         nonblock == o.nonblock && cutover == o.cutover;
}

Result<ListenSpec> parseListenSpec(std::string_view text, std::size_t index) {
  ListenSpec out;
  std::size_t comma = text.find(',');
  std::string_view head = text.substr(0, comma);
  // A '=' before any ':' or '/' ends a name: "web=:8000", but not "unix:/run/a=b".
  std::size_t eq = head.find('=');
  if (eq != std::string_view::npos && head.find_first_of(":/[") > eq) {
    if (!isName(head.substr(0, eq))) return bad(text, "bad name before '='");
    out.name = head.substr(0, eq);
    head.remove_prefix(eq + 1);
  } else {
    out.name = "listen" + std::to_string(index);
  }
  if (auto why = parseAddress(out, head)) return bad(text, *why);
  std::string_view rest = comma == std::string_view::npos ? "" : text.substr(comma + 1);
  while (!rest.empty()) {
    comma = rest.find(',');
    std::string_view item = rest.substr(0, comma);
    rest = comma == std::string_view::npos ? "" : rest.substr(comma + 1);
    eq = item.find('=');
    std::string_view value = eq == std::string_view::npos ? "" : item.substr(eq + 1);
    bool known = false;
    if (!applyOption(out, item.substr(0, eq), value, known)) {
      return bad(text, (known ? "bad value in '" : "unknown option '") + std::string(item) + "'");
    }
  }
  return out;
}

}  // namespace godwit::supervise
