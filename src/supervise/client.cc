#include "supervise/client.h"

#include <dirent.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/os_error.h"
#include "base/unique_fd.h"
#include "supervise/address.h"
#include "supervise/exit_code.h"
#include "supervise/json.h"
#include "supervise/places.h"
#include "supervise/units.h"

namespace godwit::supervise {
namespace {

struct Verb {
  std::string_view name;
  std::string_view arguments;
  std::string_view help;
};
constexpr Verb kVerbs[] = {
    {"status", "[--json]", "what runs, what failed last"},
    {"reload", "[--wait] [--now]",
     "start a new generation; --wait: 0 active, 1 failed and the old one kept, 2 timed out, 3 "
     "superseded, 4 no connection, 5 refused, 6 rolled back"},
    {"rollback", "[--wait]", "back to the generation, or the release, before"},
    {"promote", "", "end the soak of the new generation now"},
    {"canary", "PERCENT", "share of new connections the soaking generation gets"},
    {"stop", "", "end every generation, then the supervisor; --timeout: SIGKILL after that long"},
    {"kill", "", "the same with SIGKILL"},
    {"signal", "SIG [GEN]", "send a signal to a generation, by default the active one"},
    {"pause", "", "stop the active generation's processes; clients wait"},
    {"resume", "", "let them go on"},
    {"upgrade", "", "replace the supervisor's own binary, keeping everything"},
    {"metrics", "", "Prometheus text"},
    {"log", "[GEN]", "the last 64 KiB a generation wrote to stderr"},
    {"env", "", "names of the active generation's environment"},
    {"subscribe", "", "events as JSON lines, until interrupted"},
};

const Verb* findVerb(std::string_view word) {
  for (const Verb& v : kVerbs) {
    if (v.name == word) return &v;
  }
  return nullptr;
}

void print(int fd, std::string_view text) {
  while (!text.empty()) {
    ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

int complain(int code, const std::string& message) {
  print(2, "godwit-run: " + message + "\n");
  return code;
}

struct Request {
  const Verb* verb = nullptr;
  std::string control;
  std::string name;
  std::string service;
  std::vector<std::string> words;
  bool wait = false;
  bool now = false;
  bool json = false;
  bool help = false;
  TimeNs timeout = 600 * kSecond;
  bool has_timeout = false;
};

std::string parse(const std::vector<std::string>& args, Request& out) {
  for (std::size_t i = 1; i < args.size(); ++i) {
    const std::string& a = args[i];
    std::string value;
    std::string key = a;
    std::size_t eq = a.find('=');
    bool has_value = a.rfind("--", 0) == 0 && eq != std::string::npos;
    if (has_value) {
      key = a.substr(0, eq);
      value = a.substr(eq + 1);
    }
    auto take = [&] {
      if (!has_value && i + 1 < args.size()) value = args[++i];
      return !value.empty();
    };
    if (key == "--wait") {
      out.wait = true;
    } else if (key == "--now") {
      out.now = true;
    } else if (key == "--json") {
      out.json = true;
    } else if (key == "--help" || key == "-h") {
      out.help = true;
    } else if (key == "--control" || key == "--name" || key == "--service" || key == "--timeout") {
      if (!take()) return key + " needs a value";
      if (key == "--control") out.control = value;
      if (key == "--name") out.name = value;
      if (key == "--service") out.service = value;
      if (key != "--timeout") continue;
      auto t = parseDuration(value);
      if (!t) return "--timeout " + value + ": expected a time";
      out.timeout = *t;
      out.has_timeout = true;
    } else if (a.rfind("-", 0) == 0 && a.size() > 1) {
      return "unknown option " + a;
    } else {
      out.words.push_back(a);
    }
  }
  return "";
}

UniqueFd connectTo(const std::string& path) {
  auto a = unixAddress(path);
  if (!a.ok()) return {};
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (fd && ::connect(fd.get(), a->get(), a->length) == 0) return fd;
  return {};
}

// The control socket that was named, or the only one there is.
UniqueFd findInstance(const Request& r, std::string& why) {
  if (!r.control.empty()) {
    UniqueFd fd = connectTo(r.control);
    if (!fd) why = "cannot connect to " + r.control + ": " + errnoText(errno);
    return fd;
  }
  std::vector<std::string> names;
  UniqueFd found;
  for (const std::string& base : runtimeBases()) {
    if (!r.name.empty()) {
      if (UniqueFd fd = connectTo(controlPath(base, r.name))) return fd;
      continue;
    }
    DIR* dir = ::opendir(base.c_str());
    while (dirent* e = dir ? ::readdir(dir) : nullptr) {
      std::string file = e->d_name;
      if (file.rfind("godwit-run-", 0) != 0 || file.size() < 17 ||
          file.substr(file.size() - 5) != ".sock") {
        continue;
      }
      std::string name = file.substr(11, file.size() - 16);
      if (std::find(names.begin(), names.end(), name) != names.end()) continue;
      if (UniqueFd fd = connectTo(base + "/" + file)) {
        names.push_back(name);
        found = std::move(fd);
      }
    }
    if (dir) ::closedir(dir);
  }
  if (names.size() == 1) return found;
  if (!r.name.empty()) {
    why = "no instance named " + r.name;
  } else if (names.empty()) {
    why = "no instance is running (hint: --control PATH)";
  } else {
    std::sort(names.begin(), names.end());
    why = "several instances are running, choose with --name:";
    for (const std::string& n : names) why += " " + n;
  }
  return {};
}

std::string encode(const Request& r, std::string& why) {
  JsonWriter w;
  w.beginObject().field("cmd", r.verb->name);
  if (!r.service.empty()) w.field("service", r.service);
  if (r.wait) w.field("wait", true);
  if (r.now) w.field("now", true);
  if (r.has_timeout && r.verb->name == "stop") w.field("timeout", r.timeout / kMs);
  std::size_t most = 0;
  if (r.verb->name == "canary") {
    most = 1;
    auto p = r.words.empty() ? std::nullopt : parseInt(r.words[0], 0, 100);
    if (!p) why = "canary needs a percentage from 0 to 100";
    w.field("percent", p.value_or(0));
  } else if (r.verb->name == "signal") {
    most = 2;
    if (r.words.empty()) why = "signal needs a signal";
    w.field("sig", r.words.empty() ? "" : r.words[0]);
  } else if (r.verb->name == "log") {
    most = 1;
  }
  if ((r.verb->name == "signal" && r.words.size() > 1) ||
      (r.verb->name == "log" && !r.words.empty())) {
    auto gen = parseInt(r.words.back(), 1, 1 << 30);
    if (!gen) why = "'" + r.words.back() + "' is not the number of a generation";
    w.field("gen", gen.value_or(0));
  } else if (r.words.size() == 1 && most == 0) {
    // `reload web` names the service, as people expect.
    w.field("service", r.words[0]);
    most = 1;
  }
  if (r.words.size() > most) why = "too many arguments";
  w.endObject();
  return w.take() + "\n";
}

enum class Read : unsigned char { kLine, kTimeout, kClosed };
Read readLine(int fd, std::string& buffer, std::string& line, TimeNs until) {
  for (;;) {
    std::size_t eol = buffer.find('\n');
    if (eol != std::string::npos) {
      line = buffer.substr(0, eol);
      buffer.erase(0, eol + 1);
      return Read::kLine;
    }
    TimeNs left = until == kNever ? kNever : until - monotonicNow();
    if (left <= 0) return Read::kTimeout;
    pollfd p{fd, POLLIN, 0};
    int ms = until == kNever ? -1 : static_cast<int>(std::min<TimeNs>(left / kMs + 1, 1 << 30));
    int n = ::poll(&p, 1, ms);
    if (n == 0 || (n < 0 && errno == EINTR)) continue;
    char chunk[16384];
    ssize_t got = ::recv(fd, chunk, sizeof chunk, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return Read::kClosed;
    buffer.append(chunk, static_cast<std::size_t>(got));
    if (buffer.size() > (64U << 20)) return Read::kClosed;
  }
}

std::string column(std::string text, std::size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
  return text + " ";
}

std::string humanSize(std::int64_t bytes) {
  return std::to_string((bytes + (1 << 19)) >> 20) + " MiB";
}

std::string renderStatus(const JsonValue& v) {
  std::string out = v.at("name").str() + ": pid " + std::to_string(v.at("pid").num()) + "\n";
  for (const JsonValue& s : v.at("services").items()) {
    out += s.at("service").str() + ": " + s.at("state").str();
    out += ", reloads " + std::to_string(s.at("reloads").at("ok").num()) + " ok " +
           std::to_string(s.at("reloads").at("failed").num()) + " failed";
    if (s.at("pending").flag()) out += ", one more reload waits";
    if (s.has("rolled_back_from")) {
      out += ", rolled back from " + std::to_string(s.at("rolled_back_from").num());
    }
    if (s.has("restart_in_s"))
      out += ", restart in " +
             formatSeconds(static_cast<TimeNs>(s.at("restart_in_s").real() * 1e9)) + " s";
    out += '\n';
    for (const JsonValue& l : s.at("listen").items()) {
      out += "  listen " + column(l.at("name").str(), 10) + column(l.at("addr").str(), 24) +
             l.at("mode").str() + ", queue";
      for (const JsonValue& q : l.at("queue").items()) out += " " + std::to_string(q.num());
      out += '\n';
    }
    for (const JsonValue& g : s.at("generations").items()) {
      out += "  gen " + column(std::to_string(g.at("gen").num()), 5) + "pid " +
             column(std::to_string(g.at("pid").num()), 8) + column(g.at("state").str(), 10) +
             "slot " + std::to_string(g.at("slot").num()) + "  age " +
             std::to_string(static_cast<std::int64_t>(g.at("age_s").real())) + " s  " +
             humanSize(g.at("rss").num());
      if (g.has("release")) out += "  " + g.at("release").str();
      if (g.has("status")) out += "  \"" + g.at("status").str() + "\"";
      out += '\n';
    }
    if (s.has("last_failure")) {
      const JsonValue& f = s.at("last_failure");
      out += "  last failure: gen " + std::to_string(f.at("gen").num()) + ": " +
             f.at("detail").str() + "\n";
    }
  }
  return out;
}

void renderResults(const JsonValue& v) {
  for (const JsonValue& r : v.at("results").items()) {
    std::string line = r.at("service").str() + ": " + r.at("outcome").str();
    if (r.has("gen")) line += ", gen " + std::to_string(r.at("gen").num());
    if (r.has("detail")) line += ": " + r.at("detail").str();
    bool bad = r.at("outcome").str() != "active";
    print(bad ? 2 : 1, line + "\n");
    if (!r.at("stderr").str().empty()) print(2, r.at("stderr").str() + "\n");
  }
}

}  // namespace

bool isClientVerb(std::string_view word) { return findVerb(word) != nullptr; }

int runClient(const std::vector<std::string>& args) {
  Request r;
  r.verb = findVerb(args.front());
  std::string why = parse(args, r);
  if (r.help) {
    print(1, "usage: godwit-run " + std::string(r.verb->name) + " " +
                 std::string(r.verb->arguments) +
                 " [--name NAME | --control PATH] [--service NAME] [--timeout SEC]\n" +
                 std::string(r.verb->help) + "\n");
    return kClientOk;
  }
  std::string request = why.empty() ? encode(r, why) : "";
  if (!why.empty()) {
    return complain(kExitUsage, why + " (hint: godwit-run " + args.front() + " --help)");
  }
  UniqueFd fd = findInstance(r, why);
  if (!fd) return complain(kClientNoConnection, why);
  if (::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request.size())) {
    return complain(kClientNoConnection, "cannot send: " + errnoText(errno));
  }
  TimeNs until = timeAfter(monotonicNow(), r.timeout);
  std::string buffer;
  std::string line;
  bool first = true;
  for (;;) {
    Read got = readLine(fd.get(), buffer, line, r.verb->name == "subscribe" ? kNever : until);
    if (got == Read::kTimeout) return complain(kClientTimeout, "timed out waiting");
    if (got == Read::kClosed) {
      if (!first) return kClientOk;
      return complain(kClientNoConnection, "the supervisor closed the connection");
    }
    if (r.verb->name == "subscribe" && !first) {
      print(1, line + "\n");
      continue;
    }
    first = false;
    auto v = parseJson(line);
    if (!v.ok()) return complain(kClientNoConnection, "an answer that is no JSON");
    if (v->has("error"))
      return complain(static_cast<int>(v->at("code").num(1)), v->at("error").str());
    if (r.verb->name == "subscribe") continue;
    if (v->has("services")) {
      print(1, r.json ? line + "\n" : renderStatus(*v));
    } else if (v->has("results")) {
      renderResults(*v);
    } else {
      print(1, v->at("text").str());
    }
    return static_cast<int>(v->at("code").num());
  }
}

}  // namespace godwit::supervise
