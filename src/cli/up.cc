#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <ostream>

#include "base/ini.h"
#include "base/os_error.h"
#include "base/random.h"
#include "base/unique_fd.h"
#include "cli/stack_files.h"
#include "kinto/secret.h"
#include "kinto/server_options.h"

extern char** environ;

namespace godwit::cli {
namespace {

constexpr std::size_t kMaxLog = 16 << 20;
constexpr std::chrono::seconds kStart{60};

// The first file: a server to try out, on loopback.
Result<std::string> firstIni(const Context& context, const StackPlaces& places) {
  // The secret that a server without a file has kept there, so that users stay who they were.
  auto secret = kinto::keptSecret(places.folder + "/userid_hmac_secret");
  if (!secret.ok()) return std::move(secret).error();
  const Invocation& in = context.in;
  return configurationText(
      {{"godwit.host", in.host.empty() ? "127.0.0.1" : in.host},
       {"godwit.port", in.port.empty() ? "8888" : in.port},
       {"godwit.data_dir", places.folder},
       {"godwit.admin_listen", "127.0.0.1:" + (in.admin_port.empty() ? "8889" : in.admin_port)},
       {"godwit.metrics_spool", places.spool},
       {"godwit.status_supervisor", places.control},
       {"includes", "kinto.plugins.default_bucket"},
       {"userid_hmac_secret", *secret},
       {"default_bucket_hmac_secret", *secret},
       {"multiauth.policies", "basicauth"}});
}

std::string withoutScheme(const std::string& url) {
  return url.starts_with("http://") ? url.substr(7) : url;
}

bool anybodyIsUser(const kinto::Settings& settings) {
  for (const std::string& name : settings.getList("multiauth.policies")) {
    std::string use = settings.getString("multiauth.policy." + name + ".use");
    if (use.find("BasicAuth") != std::string::npos || (use.empty() && name == "basicauth")) {
      return true;
    }
  }
  return settings.getList("multiauth.policies").empty();
}

std::string fixFor(const StackPlaces& places, const std::string& host) {
  return "godwit init --replace --host " + host + " --ini " + places.ini +
         " && godwit create-user --ini " + places.ini + " -u admin";
}

// "" or why the settings must not be reachable from other machines.
std::string unsafe(const kinto::Settings& settings) {
  if (anybodyIsUser(settings)) return "basic authentication takes any name and password";
  if (settings.getString("userid_hmac_secret").empty()) return "userid_hmac_secret is empty";
  return "";
}

// Writes what follows from other settings, unless somebody has made it his own.
Result<bool> derive(const std::string& path, const std::string& text) {
  auto there = readFile(path);
  std::string wanted = sealed(text);
  if (there && *there == wanted) return true;
  if (there && !unedited(*there)) return false;
  auto written = writeFile(path, wanted);
  if (!written.ok()) return std::move(written).error();
  return true;
}

// Where the agent listens: the flag, else what its file says since the last time.
std::string metricsAddress(const Context& context, const StackPlaces& places) {
  if (!context.in.metrics_port.empty()) return "127.0.0.1:" + context.in.metrics_port;
  if (auto text = readFile(places.agent)) {
    auto ini = Ini::parse(*text, places.agent);
    const Ini::Section* http = ini.ok() ? ini->find("http") : nullptr;
    for (std::size_t i = 0; http != nullptr && i < http->entries.size(); ++i) {
      const Ini::Entry& entry = http->entries[i];
      if (entry.key == "listen" && !entry.raw.empty()) return entry.raw;
    }
  }
  return "127.0.0.1:8135";
}

struct Banner {
  std::string text;
  void print() const { (void)!::write(STDERR_FILENO, text.data(), text.size()); }
};

Banner bannerOf(const Context& context, const StackFiles& files, const kinto::Settings& settings) {
  const StackPlaces& p = files.places;
  std::string url = files.web.starts_with("unix:") ? files.web : "http://" + files.web + "/v1/";
  std::string host = settings.getString("godwit.host");
  std::string admin = anybodyIsUser(settings)
                          ? "any name and password is a user; accounts: " + fixFor(p, host)
                          : "godwit create-user --ini " + p.ini + " -u admin";
  std::string metrics;
  if (!files.admin.empty()) metrics += "http://" + files.admin + "/__status__  ";
  if (!files.agent.empty()) metrics += "http://" + files.metrics + "/metrics  " + p.metrics_log;
  std::string stop = context.in.detach ? "godwit down" : "Ctrl-C, or godwit down";
  std::string state = context.in.state_dir.empty() ? "" : " --state-dir " + context.in.state_dir;
  Banner b;
  b.text = "godwit " + programVersion() + "\n  url      " + url + "\n  admin    " + admin +
           "\n  data     " + p.folder + "/godwit.db, settings " + p.ini + "\n  metrics  " +
           metrics + "\n  stop     " + stop + state + "; new settings: godwit reload --wait" +
           state + "\n";
  return b;
}

// Waits for the newline that --notify-fd promises. False: it ended before.
bool awaitReady(int fd) {
  char c = 0;
  ssize_t n = 0;
  while ((n = ::read(fd, &c, 1)) < 0 && errno == EINTR) {
  }
  return n == 1;
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> out;
  for (std::string& w : words) out.push_back(w.data());
  out.push_back(nullptr);
  return out;
}

// This process becomes godwit-run, which keeps the pid that was started; a process of its own,
// orphaned on purpose, says when the stack is ready.
int becomeSupervisor(const Context& context, std::vector<std::string> command,
                     const Banner& banner) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return context.fail("start", osError("pipe").message);
  context.terminal.err.flush();
  pid_t child = ::fork();
  if (child < 0) return context.fail("start", osError("fork").message);
  if (child == 0) {
    if (::fork() != 0) ::_exit(0);
    ::close(ends[1]);
    ::setpgid(0, 0);  // Ctrl-C is not for this one
    if (awaitReady(ends[0])) banner.print();
    ::_exit(0);
  }
  ::waitpid(child, nullptr, 0);
  ::close(ends[0]);
  ::fcntl(ends[1], F_SETFD, 0);
  command.insert(command.end(), {"--notify-fd", std::to_string(ends[1])});
  auto argv = pointers(command);
  ::execve(argv[0], argv.data(), environ);
  return context.fail("run " + command[0], osError("execute it").message);
}

int detach(const Context& context, const StackPlaces& places, std::vector<std::string> command,
           const Banner& banner) {
  struct stat st {};
  if (::stat(places.log.c_str(), &st) == 0 && static_cast<std::size_t>(st.st_size) > kMaxLog) {
    ::rename(places.log.c_str(), (places.log + ".1").c_str());
  }
  UniqueFd log(::open(places.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!log) return context.fail("start", osError("open " + places.log).message);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return context.fail("start", osError("pipe").message);
  command.insert(command.end(), {"--notify-fd", std::to_string(ends[1])});
  auto argv = pointers(command);
  context.terminal.err.flush();
  pid_t child = ::fork();
  if (child < 0) return context.fail("start", osError("fork").message);
  if (child == 0) {
    ::setsid();
    UniqueFd none(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    ::dup2(none.get(), 0);
    ::dup2(log.get(), 1);
    ::dup2(log.get(), 2);
    ::fcntl(ends[1], F_SETFD, 0);
    ::execve(argv[0], argv.data(), environ);
    ::_exit(127);
  }
  ::close(ends[1]);
  if (awaitReady(ends[0])) {
    banner.print();
    return kExitOk;
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  std::string text = readFile(places.log).value_or("");
  constexpr std::size_t kTail = 1500;
  if (text.size() > kTail) text.erase(0, text.find('\n', text.size() - kTail) + 1);
  context.terminal.err << text;
  return context.fail("start", "see " + places.log);
}

}  // namespace

int upCommand(const Context& context) {
  auto places = stackPlaces(context);
  if (!places.ok()) return context.fail("start", places.error().message, kExitUsage);
  const StackPlaces& p = *places;
  auto running = tellSupervisor(p.control, "status", Deadline::after(std::chrono::seconds(5)));
  if (running.ok()) {
    std::string web = listenerOf(*running, "server", "web");
    const json::Value* pid = running->get("pid");
    return context.fail("start",
                        "it already runs on " + p.folder + ": pid " +
                            std::to_string(pid ? pid->toInt().value_or(0) : 0) +
                            (web.empty() ? "" : ", http://" + web + "/v1/") +
                            " (hint: godwit status, godwit reload, godwit down)",
                        kExitRunning);
  }
  if (running.error().code == ErrorCode::kInvalid) {
    return context.fail("start", running.error().message + " (hint: a shorter --state-dir)");
  }
  std::error_code ec;
  std::filesystem::create_directories(std::filesystem::path(p.folder).parent_path(), ec);
  if (::mkdir(p.folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return context.fail("start", osError("create folder " + p.folder).message);
  }
  if (!readFile(p.ini)) {
    auto text = firstIni(context, p);
    if (!text.ok()) return context.fail("write " + p.ini, text.error().message);
    if (auto r = writeFile(p.ini, *text); !r.ok()) {
      return context.fail("write " + p.ini, r.error().message);
    }
  }
  kinto::SettingsInput input = context.settingsInput(false);
  input.ini = p.ini;
  if (!context.in.host.empty()) input.flags.push_back({"godwit.host", context.in.host, "--host"});
  if (!context.in.port.empty()) input.flags.push_back({"godwit.port", context.in.port, "--port"});
  if (!context.in.admin_port.empty()) {
    input.flags.push_back(
        {"godwit.admin_listen", "127.0.0.1:" + context.in.admin_port, "--admin-port"});
  }
  auto settings = kinto::Settings::load(input);
  if (!settings.ok()) {
    return context.fail("use " + p.ini, settings.error().message, kExitConfig);
  }
  std::string url = kinto::listenUrl(*settings);
  std::string why = kinto::isLoopback(url) ? "" : unsafe(*settings);
  if (!why.empty()) {
    return context.fail("listen on " + url,
                        why + " (fix: " + fixFor(p, settings->getString("godwit.host")) + ")",
                        kExitConfig);
  }
  auto admin = kinto::adminUrl(*settings);
  if (!admin.ok()) return context.fail("use " + p.ini, admin.error().message, kExitConfig);

  StackFiles files{p,
                   siblingProgram(context, "godwit"),
                   siblingProgram(context, "godwit-agent"),
                   withoutScheme(url),
                   withoutScheme(*admin),
                   metricsAddress(context, p),
                   context.terminal.err_is_terminal && !context.in.detach ? "color" : ""};
  std::string supervisor = siblingProgram(context, "godwit-run");
  if (supervisor.empty() || files.server.empty()) {
    return context.fail("start", "godwit-run is neither next to this program nor in PATH");
  }
  if (files.agent.empty()) context.warn("there is no godwit-agent: metrics stay in " + p.spool);
  auto agent = derive(p.agent, agentText(files));
  if (!agent.ok()) return context.fail("write " + p.agent, agent.error().message);
  auto conf = derive(p.conf, runText(files));
  if (!conf.ok()) return context.fail("write " + p.conf, conf.error().message);
  if (!*conf) {
    context.say(p.conf + " was edited: it decides what is started, and where it listens");
  }
  Banner banner = bannerOf(context, files, *settings);
  if (context.in.dry_run) {
    context.terminal.err << banner.text;
    context.print(supervisor + " --config " + p.conf);
    return kExitOk;
  }
  std::vector<std::string> command = {supervisor, "--config", p.conf};
  return context.in.detach ? detach(context, p, std::move(command), banner)
                           : becomeSupervisor(context, std::move(command), banner);
}

}  // namespace godwit::cli
