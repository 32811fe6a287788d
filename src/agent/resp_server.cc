#include "agent/resp_server.h"

#include <algorithm>

#include "agent/resp_parser.h"
#include "base/encoding.h"
#include "base/text.h"
#include "metrics/wire_json.h"

namespace godwit::agent {
namespace {

constexpr std::size_t kMaxQueued = 10'000;  // commands in one MULTI
constexpr std::size_t kMaxQueuedBytes = 64u << 20;

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

class RespServer::Connection final : public StreamConnection {
 public:
  explicit Connection(RespServer& server)
      : server_(server), authenticated_(server.password_.empty()) {}
  void serve() override;

 private:
  void command(const Args& args);
  void execute(const Args& args);

  RespServer& server_;
  RespParser parser_;
  std::size_t needed_ = 0;
  bool authenticated_ = false;
  bool in_multi_ = false;
  bool multi_failed_ = false;
  std::vector<std::vector<std::string>> queued_;
  std::size_t queued_bytes_ = 0;
  std::string name_;
};

Result<> RespServer::open(const Section& s, InheritedSockets& inherited) {
  queue_key_ = s.text("queue_key");
  password_ = s.text("password");
  StreamOptions options;
  options.name = "resp";
  options.max_connections = static_cast<std::size_t>(s.integer("max_connections"));
  options.full_answer = "-ERR max number of clients reached\r\n";
  streams_.configure(std::move(options));
  for (const char* key : {"listen", "unix"}) {
    if (s.text(key).empty()) continue;
    GODWIT_TRY(streams_.listen(s.text(key), inherited,
                               [this](int) { return std::make_unique<Connection>(*this); }));
  }
  return {};
}

RespStats RespServer::stats() const {
  RespStats s = stats_;
  s.connections = streams_.accepted();
  return s;
}

void RespServer::Connection::serve() {
  if (in.size() < needed_) return;
  std::string_view rest = in;
  Args args;
  needed_ = 0;
  while (!rest.empty() && canAnswer()) {
    std::size_t used = 0;
    auto state = parser_.parse(rest, used, args);
    if (state == RespParser::State::kNeedMore) {
      needed_ = parser_.needed();
      break;
    }
    if (state == RespParser::State::kError) {
      error(out, "ERR Protocol error: " + parser_.error());
      closing = true;
      break;
    }
    if (!args.empty()) command(args);
    rest.remove_prefix(used);
  }
  in.erase(0, in.size() - rest.size());
}

// MULTI queues, EXEC runs; everything else runs at once.
void RespServer::Connection::command(const Args& args) {
  ++server_.stats_.commands;
  std::string name = upper(args[0]);
  if (name == "QUIT") {
    out += "+OK\r\n";
    closing = true;
    return;
  }
  if (!authenticated_ && name != "AUTH" && name != "HELLO") {
    error(out, "NOAUTH Authentication required.");
    return;
  }
  if (name == "MULTI") {
    if (in_multi_) return error(out, "ERR MULTI calls can not be nested");
    in_multi_ = true;
    multi_failed_ = false;
    out += "+OK\r\n";
    return;
  }
  if (name == "DISCARD" || name == "EXEC") {
    if (!in_multi_) return error(out, "ERR " + name + " without MULTI");
    auto queued = std::move(queued_);
    bool failed = multi_failed_;
    queued_.clear();
    queued_bytes_ = 0;
    in_multi_ = false;
    if (name == "DISCARD") {
      out += "+OK\r\n";
      return;
    }
    if (failed) {
      return error(out, "EXECABORT Transaction discarded because of previous errors.");
    }
    out += "*" + std::to_string(queued.size()) + "\r\n";
    for (const auto& q : queued) {
      Args views(q.begin(), q.end());
      execute(views);
    }
    return;
  }
  if (in_multi_) {
    for (auto a : args) queued_bytes_ += a.size();
    if (queued_.size() >= kMaxQueued || queued_bytes_ > kMaxQueuedBytes) {
      multi_failed_ = true;
      queued_.clear();
      return error(out, "ERR transaction too large");
    }
    queued_.emplace_back(args.begin(), args.end());
    out += "+QUEUED\r\n";
    return;
  }
  execute(args);
}

void RespServer::Connection::execute(const Args& args) {
  std::string name = upper(args[0]);
  std::size_t n = args.size();
  auto arity = [&](bool right) {
    if (!right) {
      error(out, "ERR wrong number of arguments for '" +
                     lower(std::string_view(args[0]).substr(0, 64)) + "' command");
    }
    return right;
  };
  if (name == "LPUSH") {
    if (arity(n >= 3)) server_.push(args, out);
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
    if (server_.password_.empty()) {
      error(out, "ERR Client sent AUTH, but no password is set");
    } else if (constantTimeEqual(args[n - 1], server_.password_) && user) {
      authenticated_ = true;
      out += "+OK\r\n";
    } else {
      error(out, "WRONGPASS invalid username-password pair or user is disabled.");
    }
  } else if (name == "HELLO") {
    if (n > 1 && args[1] != "2") return error(out, "NOPROTO unsupported protocol version");
    if (n >= 5 && upper(args[2]) == "AUTH") {
      if (!constantTimeEqual(args[4], server_.password_) || args[3] != "default") {
        return error(out, "WRONGPASS invalid username-password pair or user is disabled.");
      }
      authenticated_ = true;
    }
    if (!authenticated_) return error(out, "NOAUTH HELLO must be called with AUTH.");
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
      out += ":" + std::to_string(fd()) + "\r\n";
    } else if (sub == "GETNAME") {
      bulk(out, name_);
    } else if (sub == "LIST" || sub == "INFO") {
      bulk(out, "id=" + std::to_string(fd()) + "\n");
    } else {
      if (sub == "SETNAME" && n == 3) name_ = args[2].substr(0, 256);
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
    std::int64_t us = server_.inlet_.clock().nowNs() / 1000;
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

}  // namespace godwit::agent
