#include "supervise/release.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>

#include "base/os_error.h"
#include "base/text.h"
#include "supervise/file_text.h"
#include "supervise/spawn.h"
#include "supervise/words.h"

extern char** environ;

namespace godwit::supervise {
namespace {

Result<> readEnvFile(const std::string& path, Environment& env) {
  auto text = readText(path);
  if (!text.ok()) return std::move(text).error();
  std::string_view rest = *text;
  int line = 0;
  while (!rest.empty()) {
    std::size_t eol = rest.find('\n');
    std::string_view l = trim(rest.substr(0, eol));
    rest = eol == std::string_view::npos ? "" : rest.substr(eol + 1);
    ++line;
    if (l.empty() || l.front() == '#') continue;
    if (l.substr(0, 7) == "export ") l = trim(l.substr(7));
    std::size_t eq = l.find('=');
    if (eq == std::string_view::npos || eq == 0) {
      return Error(ErrorCode::kInvalid,
                   path + ":" + std::to_string(line) + ": expected NAME=VALUE");
    }
    std::string_view value = l.substr(eq + 1);
    if (value.size() >= 2 && (value.front() == '"' || value.front() == '\'') &&
        value.back() == value.front()) {
      value = value.substr(1, value.size() - 2);
    }
    env[std::string(l.substr(0, eq))] = value;
  }
  return {};
}

// As envdir(8): the first line of each file is the value, an empty file removes the variable.
Result<> readEnvDir(const std::string& path, Environment& env) {
  DIR* dir = ::opendir(path.c_str());
  if (!dir) return osError("read " + path);
  Result<> result;
  while (dirent* e = ::readdir(dir)) {
    std::string name = e->d_name;
    if (name[0] == '.' || name.find('=') != std::string::npos) continue;
    auto text = readText(path + "/" + name);
    if (!text.ok()) {
      result = std::move(text).error();
      break;
    }
    if (text->empty()) {
      env.erase(name);
      continue;
    }
    std::string value = text->substr(0, text->find('\n'));
    while (!value.empty() && (value.back() == ' ' || value.back() == '\t')) value.pop_back();
    for (char& c : value) {
      if (c == '\0') c = '\n';
    }
    env[name] = value;
  }
  ::closedir(dir);
  return result;
}

}  // namespace

Environment inheritedEnvironment() {
  static constexpr std::string_view kOurs[] = {
      "LISTEN_FDS", "LISTEN_PID",    "LISTEN_FDNAMES", "LISTEN_PIDFDID", "NOTIFY_SOCKET",
      "FDSTORE",    "WATCHDOG_USEC", "WATCHDOG_PID",   "MAINPID",        "GODWIT_RUN_STATE"};
  Environment out;
  for (char** e = environ; e && *e; ++e) {
    std::string_view v(*e);
    std::size_t eq = v.find('=');
    if (eq == std::string_view::npos || eq == 0) continue;
    bool ours = false;
    for (std::string_view name : kOurs) ours = ours || v.substr(0, eq) == name;
    if (!ours) out[std::string(v.substr(0, eq))] = v.substr(eq + 1);
  }
  return out;
}

std::string logicalCwd() {
  const char* pwd = std::getenv("PWD");  // NOLINT(concurrency-mt-unsafe): one thread
  struct stat a {};
  struct stat b {};
  if (pwd && pwd[0] == '/' && ::stat(pwd, &a) == 0 && ::stat(".", &b) == 0 &&
      a.st_dev == b.st_dev && a.st_ino == b.st_ino) {
    return pwd;
  }
  char buffer[PATH_MAX];
  return ::getcwd(buffer, sizeof buffer) ? buffer : "/";
}

Result<std::shared_ptr<ReleaseSpec>> readRelease(const ServiceOptions& options,
                                                 const Environment& inherited,
                                                 const std::string& logical_cwd) {
  auto out = std::make_shared<ReleaseSpec>();
  out->command = options.command;
  out->env = inherited;
  for (const std::string& d : options.env_dirs) GODWIT_TRY(readEnvDir(d, out->env));
  for (const std::string& f : options.env_files) GODWIT_TRY(readEnvFile(f, out->env));
  for (const auto& [name, value] : options.env) out->env[name] = value;
  out->cwd = options.cwd.empty() ? logical_cwd : options.cwd;
  if (out->cwd.front() != '/') out->cwd = logical_cwd + "/" + out->cwd;
  out->cwd_fd.reset(::open(out->cwd.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!out->cwd_fd) return osError("use directory " + out->cwd);
  if (!options.release_link.empty()) {
    std::string link = options.release_link;
    if (link.front() != '/') link = logical_cwd + "/" + link;
    char resolved[PATH_MAX];
    if (!::realpath(link.c_str(), resolved)) return osError("resolve " + link);
    out->release = resolved;
    out->env["RELEASE"] = resolved;
  }
  out->env["PWD"] = out->cwd;
  auto path = out->env.find("PATH");
  for (const std::string& c :
       execCandidates(out->command.front(), path == out->env.end() ? "" : path->second)) {
    std::string full = c.front() == '/' ? c : out->cwd + "/" + c;
    char resolved[PATH_MAX];
    struct stat st {};
    if (::access(full.c_str(), X_OK) == 0 && ::stat(full.c_str(), &st) == 0 &&
        S_ISREG(st.st_mode) && ::realpath(full.c_str(), resolved)) {
      out->executable = resolved;
      break;
    }
  }
  return out;
}

}  // namespace godwit::supervise
