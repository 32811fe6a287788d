#include "agent/resp_server.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/encoding.h"
#include "base/log.h"
#include "metrics/wire_json.h"

namespace godwit::agent {
namespace {

constexpr std::size_t kMaxUnsent = 16u << 20;
constexpr std::size_t kMaxQueued = 10'000;  // commands in one MULTI
constexpr std::size_t kMaxQueuedBytes = 64u << 20;

std::string upper(std::string_view s) {
  std::string out(s);
  for (char& c : out) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  return out;
}

void bulk(std::string& out, std::string_view s) {
  out += "$" + std::to_string(s.size()) + "\r\n";
  out += s;
  out += "\r\n";
}
void error(std::string& out, std::string_view text) {
  out += "-";
  out += text;
  out += "\r\n";
}

}  // namespace

RespServer::~RespServer() { close(); }

Result<> RespServer::open(const Section& s, InheritedSockets& inherited) {
  queue_key_ = s.text("queue_key");
  password_ = s.text("password");
  max_connections_ = static_cast<std::size_t>(s.integer("max_connections"));
  for (const char* key : {"listen", "unix"}) {
    if (!s.text(key).empty()) GODWIT_TRY(listen(s.text(key), inherited));
  }
  return {};
}

Result<> RespServer::listen(const std::string& address, InheritedSockets& inherited) {
  auto socket = openSocket(address, SOCK_STREAM, inherited);
  if (!socket) return std::move(socket).error();
  int fd = socket->fd.get();
  GODWIT_TRY(loop_.add(fd, EPOLLIN, [this, fd](std::uint32_t) { accept(fd); }));
  bool path = address.find('/') != std::string::npos;
  listeners_.push_back({std::move(socket->fd), socket->inherited, path ? address : std::string()});
  log::info("resp.listening", {{"address", address}});
  return {};
}

void RespServer::accept(int listener) {
  for (int i = 0; i < 64; ++i) {
    UniqueFd fd(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) return;
    if (connections_.size() >= max_connections_) {
      static constexpr std::string_view kFull = "-ERR max number of clients reached\r\n";
      ::send(fd.get(), kFull.data(), kFull.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      continue;
    }
    auto c = std::make_unique<Connection>();
    int raw = fd.get();
    c->fd = std::move(fd);
    c->authenticated = password_.empty();
    if (!loop_.add(raw, EPOLLIN, [this, raw](std::uint32_t e) { onEvent(raw, e); })) continue;
    connections_[raw] = std::move(c);
    ++stats_.connections;
  }
}

void RespServer::drop(int fd) {
  loop_.remove(fd);
  connections_.erase(fd);
}

void RespServer::onEvent(int fd, std::uint32_t events) {
  auto it = connections_.find(fd);
  if (it == connections_.end()) return;
  Connection& c = *it->second;
  if ((events & EPOLLOUT) && !flush(c)) return drop(fd);
  if (!c.out.empty()) return;
  if (c.closing) return drop(fd);
  if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
    std::array<char, 65536> buf;
    for (int i = 0; i < 16; ++i) {
      ssize_t n = ::read(fd, buf.data(), buf.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) break;
      if (n <= 0) return drop(fd);
      c.in.append(buf.data(), static_cast<std::size_t>(n));
      if (c.in.size() >= c.needed) serve(c);
      if (c.closing || c.out.size() > kMaxUnsent) break;
    }
  } else {
    serve(c);
  }
  if (!flush(c)) return drop(fd);
  if (c.out.empty() && c.closing) drop(fd);
}

void RespServer::serve(Connection& c) {
  std::string_view rest = c.in;
  Args args;
  c.needed = 0;
  while (!rest.empty() && !c.closing && c.out.size() <= kMaxUnsent) {
    std::size_t used = 0;
    auto state = c.parser.parse(rest, used, args);
    if (state == RespParser::State::kNeedMore) {
      c.needed = c.parser.needed();
      break;
    }
    if (state == RespParser::State::kError) {
      error(c.out, "ERR Protocol error: " + c.parser.error());
      c.closing = true;
      break;
    }
    if (!args.empty()) command(c, args);
    rest.remove_prefix(used);
  }
  c.in.erase(0, c.in.size() - rest.size());
}

bool RespServer::flush(Connection& c) {
  while (!c.out.empty()) {
    ssize_t n = ::send(c.fd.get(), c.out.data(), c.out.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) {
      loop_.modify(c.fd.get(), EPOLLOUT);
      return true;
    }
    if (n <= 0) return false;
    c.out.erase(0, static_cast<std::size_t>(n));
  }
  loop_.modify(c.fd.get(), EPOLLIN);
  return true;
}

// MULTI queues, EXEC runs; everything else runs at once.
void RespServer::command(Connection& c, const Args& args) {
  ++stats_.commands;
  std::string name = upper(args[0]);
  if (name == "QUIT") {
    c.out += "+OK\r\n";
    c.closing = true;
    return;
  }
  if (!c.authenticated && name != "AUTH" && name != "HELLO") {
    error(c.out, "NOAUTH Authentication required.");
    return;
  }
  if (name == "MULTI") {
    if (c.in_multi) return error(c.out, "ERR MULTI calls can not be nested");
    c.in_multi = true;
    c.multi_failed = false;
    c.out += "+OK\r\n";
    return;
  }
  if (name == "DISCARD" || name == "EXEC") {
    if (!c.in_multi) return error(c.out, "ERR " + name + " without MULTI");
    auto queued = std::move(c.queued);
    bool failed = c.multi_failed;
    c.queued.clear();
    c.queued_bytes = 0;
    c.in_multi = false;
    if (name == "DISCARD") {
      c.out += "+OK\r\n";
      return;
    }
    if (failed) {
      return error(c.out, "EXECABORT Transaction discarded because of previous errors.");
    }
    c.out += "*" + std::to_string(queued.size()) + "\r\n";
    for (const auto& q : queued) {
      Args views(q.begin(), q.end());
      execute(c, views, c.out);
    }
    return;
  }
  if (c.in_multi) {
    for (auto a : args) c.queued_bytes += a.size();
    if (c.queued.size() >= kMaxQueued || c.queued_bytes > kMaxQueuedBytes) {
      c.multi_failed = true;
      c.queued.clear();
      return error(c.out, "ERR transaction too large");
    }
    c.queued.emplace_back(args.begin(), args.end());
    c.out += "+QUEUED\r\n";
    return;
  }
  execute(c, args, c.out);
}

void RespServer::execute(Connection& c, const Args& args, std::string& out) {
  std::string name = upper(args[0]);
  std::size_t n = args.size();
  auto arity = [&](bool right) {
    if (!right) {
      std::string lower(args[0].substr(0, 64));
      error(out, "ERR wrong number of arguments for '" + lower + "' command");
    }
    return right;
  };
  if (name == "LPUSH") {
    if (arity(n >= 3)) push(args, out);
  } else if (name == "PING") {
    if (n > 1) {
      bulk(out, args[1]);
    } else {
      out += "+PONG\r\n";
    }
  } else if (name == "ECHO") {
    if (arity(n == 2)) bulk(out, args[1]);
  } else if (name == "SELECT") {
    out += "+OK\r\n";  // one database: the number is the client's affair
  } else if (name == "AUTH") {
    if (!arity(n == 2 || n == 3)) return;
    bool user = n == 2 || args[1] == "default";
    if (password_.empty()) {
      error(out, "ERR Client sent AUTH, but no password is set");
    } else if (constantTimeEqual(args[n - 1], password_) && user) {
      c.authenticated = true;
      out += "+OK\r\n";
    } else {
      error(out, "WRONGPASS invalid username-password pair or user is disabled.");
    }
  } else if (name == "HELLO") {
    if (n > 1 && args[1] != "2") return error(out, "NOPROTO unsupported protocol version");
    if (n >= 5 && upper(args[2]) == "AUTH") {
      if (!constantTimeEqual(args[4], password_) || args[3] != "default") {
        return error(out, "WRONGPASS invalid username-password pair or user is disabled.");
      }
      c.authenticated = true;
    }
    if (!c.authenticated) return error(out, "NOAUTH HELLO must be called with AUTH.");
    out += "*8\r\n";
    bulk(out, "server");
    bulk(out, "redis");
    bulk(out, "version");
    bulk(out, "7.0.0");
    bulk(out, "proto");
    out += ":2\r\n";
    bulk(out, "mode");
    bulk(out, "standalone");
  } else if (name == "CLIENT") {
    std::string sub = n > 1 ? upper(args[1]) : "";
    if (sub == "ID") {
      out += ":" + std::to_string(c.fd.get()) + "\r\n";
    } else if (sub == "GETNAME") {
      bulk(out, c.name);
    } else if (sub == "LIST" || sub == "INFO") {
      bulk(out, "id=" + std::to_string(c.fd.get()) + "\n");
    } else {
      if (sub == "SETNAME" && n == 3) c.name = args[2].substr(0, 256);
      out += "+OK\r\n";
    }
  } else if (name == "COMMAND") {
    out += n > 1 && upper(args[1]) == "COUNT" ? ":0\r\n" : "*0\r\n";
  } else if (name == "INFO") {
    bulk(out,
         "# Server\r\nredis_version:7.0.0\r\nredis_mode:standalone\r\nserver_name:godwit-agent\r\n"
         "# Persistence\r\nloading:0\r\n");
  } else if (name == "CONFIG") {
    out += n > 1 && upper(args[1]) == "GET" ? "*0\r\n" : "+OK\r\n";
  } else if (name == "LLEN") {
    if (arity(n == 2)) out += ":0\r\n";
  } else if (name == "LRANGE") {
    if (arity(n == 4)) out += "*0\r\n";
  } else if (name == "LREM") {
    if (arity(n == 4)) out += ":0\r\n";
  } else if (name == "RPOPLPUSH" || name == "RPOP" || name == "LPOP" || name == "LMOVE") {
    out += "$-1\r\n";
  } else if (name == "EXISTS" || name == "DEL") {
    out += ":0\r\n";
  } else if (name == "TYPE") {
    out += "+none\r\n";
  } else if (name == "TIME") {
    std::int64_t us = inlet_.clock().nowNs() / 1000;
    out += "*2\r\n";
    bulk(out, std::to_string(us / 1'000'000));
    bulk(out, std::to_string(us % 1'000'000));
  } else if (name == "UNWATCH" || name == "WATCH") {
    out += "+OK\r\n";
  } else {
    std::string shown(args[0].substr(0, 64));
    for (char& ch : shown) ch = ch < ' ' ? '?' : ch;
    error(out, "ERR unknown command '" + shown + "'");
  }
}

void RespServer::push(const Args& args, std::string& out) {
  if (args[1] != queue_key_) {
    return error(out, "ERR only the list '" + queue_key_ + "' is served here");
  }
  metrics::Metrics parsed;
  for (std::size_t i = 2; i < args.size(); ++i) {
    if (args[i].empty() || args[i].size() > metrics::spool::kMaxPayload) {
      return error(out, "ERR a message must have 1 byte to 1 MiB");
    }
    // The count goes into the frame's header. What cannot be read counts as one, and is kept: the
    // publishers put it into quarantine, where a person can look at it.
    std::uint16_t samples = 1;
    if (metrics::parseWireJson(args[i], parsed)) {
      samples = static_cast<std::uint16_t>(std::min<std::size_t>(parsed.sampleCount(), 65535));
    } else {
      ++stats_.malformed;
    }
    if (!inlet_.append(Inlet::LaneName::kPoints, FrameType::kKadabraJson, samples, args[i],
                       Source::kResp)) {
      ++stats_.refused;
      return error(out, "OOM the spool cannot take more");
    }
    ++stats_.messages;
  }
  // The length a list would have right after the push if an agent was keeping up.
  out += ":" + std::to_string(args.size() - 2) + "\r\n";
}

void RespServer::stopAccepting() {
  for (auto& l : listeners_) {
    loop_.remove(l.fd.get());
    if (!l.inherited && !l.path.empty()) ::unlink(l.path.c_str());
  }
  listeners_.clear();
}

void RespServer::close() {
  stopAccepting();
  while (!connections_.empty()) drop(connections_.begin()->first);
}

}  // namespace godwit::agent
