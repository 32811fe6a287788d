// What godwit-run and godwit-agent say.
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>

#include "base/os_error.h"
#include "base/unique_fd.h"
#include "cli/http_get.h"
#include "cli/stack.h"

namespace godwit::cli {
namespace {

constexpr std::size_t kMaxAnswer = 4 << 20;

const json::Value& member(const json::Value& v, std::string_view key) {
  static const json::Value kNothing;
  const json::Value* found = v.isObject() ? v.get(key) : nullptr;
  return found ? *found : kNothing;
}

Result<json::Value> agentStatus(const std::string& url, Deadline deadline) {
  auto answer = httpGet(url, "/stats", deadline);
  if (!answer.ok()) return std::move(answer).error();
  auto stats = json::parse(answer->body);
  if (answer->status != 200 || !stats.ok()) {
    return Error(ErrorCode::kInvalid, url + "/stats answers " + std::to_string(answer->status));
  }
  // The whole report is long; this is what an operator looks at first.
  json::Value out = json::Value::object();
  out.asObject().set("state", member(*stats, "state"));
  out.asObject().set("spool_bytes", member(member(*stats, "spool"), "bytes"));
  json::Value publishers = json::Value::array();
  const json::Value& all = member(*stats, "publishers");
  if (all.isObject()) {
    for (const auto& [name, p] : all.asObject()) {
      json::Value row = json::Value::object();
      row.asObject().set("name", name);
      for (const char* key : {"type", "up", "spooled", "published", "dead", "last_error"}) {
        row.asObject().set(key, member(p, key));
      }
      publishers.asArray().push_back(std::move(row));
    }
  }
  out.asObject().set("publishers", std::move(publishers));
  return out;
}

json::Value complaint(const Error& e) {
  json::Value v = json::Value::object();
  v.asObject().set("error", e.message);
  return v;
}

}  // namespace

Result<json::Value> askSupervisor(const std::string& control, const json::Value& request,
                                  Deadline deadline) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (control.size() >= sizeof address.sun_path) {
    return Error(ErrorCode::kInvalid, control + ": longer than a socket's path may be");
  }
  std::memcpy(address.sun_path, control.c_str(), control.size() + 1);
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return osError("open a socket");
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return Error(ErrorCode::kUnavailable, "nothing runs at " + control);
  }
  std::string line = json::dump(request) + "\n";
  if (::send(fd.get(), line.data(), line.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(line.size())) {
    return osError("ask the supervisor");
  }
  std::string text;
  for (;;) {
    if (std::size_t eol = text.find('\n'); eol != std::string::npos) {
      auto answer = json::parse(std::string_view(text).substr(0, eol));
      if (!answer.ok()) return Error(ErrorCode::kInvalid, "the supervisor's answer is no JSON");
      return answer;
    }
    pollfd p{fd.get(), POLLIN, 0};
    int ready = ::poll(&p, 1, deadline.pollTimeoutMs());
    if (deadline.expired()) return Error(ErrorCode::kTimeout, "the supervisor did not answer");
    if (ready <= 0) continue;
    char buffer[16384];
    ssize_t n = ::recv(fd.get(), buffer, sizeof buffer, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return Error(ErrorCode::kUnavailable, "the supervisor closed the connection");
    text.append(buffer, static_cast<std::size_t>(n));
    if (text.size() > kMaxAnswer) return Error(ErrorCode::kLimit, "the answer is too large");
  }
}

Result<json::Value> tellSupervisor(const std::string& control, std::string_view command,
                                   Deadline deadline) {
  json::Value request = json::Value::object();
  request.asObject().set("cmd", command);
  return askSupervisor(control, request, deadline);
}

std::string listenerOf(const json::Value& status, std::string_view service, std::string_view name) {
  const json::Value& services = member(status, "services");
  if (!services.isArray()) return "";
  for (const json::Value& s : services.asArray()) {
    const json::Value& listeners = member(s, "listen");
    if (member(s, "service") != json::Value(service) || !listeners.isArray()) continue;
    for (const json::Value& l : listeners.asArray()) {
      const json::Value& address = member(l, "addr");
      if (member(l, "name") == json::Value(name) && address.isString()) return address.asString();
    }
  }
  return "";
}

void addSurroundings(const std::string& control, const std::string& agent, Deadline deadline,
                     json::Object& out) {
  std::string url = agent;
  if (!control.empty()) {
    auto status = tellSupervisor(control, "status", deadline);
    if (status.ok() && url.empty()) {
      std::string address = listenerOf(*status, "agent", "metrics");
      if (!address.empty()) url = "http://" + address;
    }
    out.set("supervisor", status.ok() ? std::move(*status) : complaint(status.error()));
  }
  if (url.empty()) return;
  auto stats = agentStatus(url, deadline);
  out.set("agent", stats.ok() ? std::move(*stats) : complaint(stats.error()));
}

Result<json::Value> stackStatus(const std::string& control, Deadline deadline) {
  auto supervisor = tellSupervisor(control, "status", deadline);
  if (!supervisor.ok()) return supervisor;
  json::Value all = json::Value::object();
  std::string address = listenerOf(*supervisor, "server", "admin");
  if (!address.empty()) {
    // The server's own answer has everything already; ours is only needed when it does not come.
    std::string url = address.starts_with("unix:") ? address : "http://" + address;
    auto answer = httpGet(url, "/__status__.json", deadline);
    auto parsed = answer.ok() ? json::parse(answer->body) : Result<json::Value>(answer.error());
    bool good = answer.ok() && answer->status == 200 && parsed.ok() && parsed->isObject();
    if (good) return parsed;
    all.asObject().set("server", complaint(answer.ok() ? Error(ErrorCode::kInvalid,
                                                               "the server answers " +
                                                                   std::to_string(answer->status))
                                                       : answer.error()));
  }
  addSurroundings(control, "", deadline, all.asObject());
  return all;
}

}  // namespace godwit::cli
