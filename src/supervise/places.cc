#include "supervise/places.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "base/os_error.h"

namespace godwit::supervise {
namespace {

std::string variable(const char* name) {
  const char* v = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): one thread
  return v ? v : "";
}

std::string temporaryBase() { return "/tmp/godwit-run-" + std::to_string(::getuid()); }

bool usable(const std::string& dir) {
  return !dir.empty() && dir.front() == '/' && ::access(dir.c_str(), W_OK | X_OK) == 0;
}

}  // namespace

std::vector<std::string> runtimeBases() {
  std::vector<std::string> out;
  std::string dirs = variable("RUNTIME_DIRECTORY");
  for (const std::string& d : {dirs.substr(0, dirs.find(':')), variable("XDG_RUNTIME_DIR"),
                               "/run/user/" + std::to_string(::getuid()),
                               std::string(::getuid() == 0 ? "/run" : ""), temporaryBase()}) {
    if (usable(d)) out.push_back(d);
  }
  return out;
}

Result<std::string> runtimeBase() {
  for (const std::string& d : runtimeBases()) {
    if (d != temporaryBase()) return d;
  }
  return makePrivateDir(temporaryBase(), false);
}

std::string controlPath(const std::string& base, const std::string& name) {
  return base + "/godwit-run-" + name + ".sock";
}

std::string absolutePath(const std::string& path, const std::string& cwd) {
  return path.empty() || path.front() == '/' ? path : cwd + "/" + path;
}

void makeConfigAbsolute(std::vector<std::string>& args, const std::string& cwd) {
  constexpr std::string_view kLong = "--config=";
  for (std::size_t i = 0; i < args.size() && args[i] != "--"; ++i) {
    std::string& a = args[i];
    if ((a == "--config" || a == "-c") && i + 1 < args.size()) {
      args[i + 1] = absolutePath(args[i + 1], cwd);
      ++i;
    } else if (a.starts_with(kLong)) {
      a = std::string(kLong) + absolutePath(a.substr(kLong.size()), cwd);
    }
  }
}

void makeAbsolute(Settings& settings, const std::string& cwd) {
  auto fix = [&](std::string& path) { path = absolutePath(path, cwd); };
  InstanceOptions& i = settings.instance;
  fix(i.config);
  fix(i.pidfile);
  fix(i.metrics_file);
  fix(i.upgrade_to);
  if (i.control != "none") fix(i.control);
  for (ServiceOptions& s : settings.services) {
    fix(s.log);
    fix(s.child_pidfile);
    for (std::string& f : s.env_files) fix(f);
    for (std::string& d : s.env_dirs) fix(d);
    for (ListenSpec& l : s.listens) {
      if (l.kind == ListenKind::kUnix) fix(l.path);
    }
  }
}

Result<std::string> makePrivateDir(const std::string& path, bool others) {
  mode_t mode = others ? 0711 : 0700;
  if (::mkdir(path.c_str(), mode) != 0 && errno != EEXIST) return osError("create " + path);
  struct stat st {};
  if (::lstat(path.c_str(), &st) != 0) return osError("look at " + path);
  if (!S_ISDIR(st.st_mode) || st.st_uid != ::geteuid()) {
    return Error(ErrorCode::kOs, "cannot use " + path + ": it belongs to somebody else");
  }
  if (::chmod(path.c_str(), mode) != 0) return osError("protect " + path);
  return path;
}

void removePrivateDir(const std::string& path) {
  if (path.empty()) return;
  if (DIR* dir = ::opendir(path.c_str())) {
    while (dirent* e = ::readdir(dir)) {
      std::string name = e->d_name;
      // Only what is put there by us.
      if (name.rfind("notify.", 0) == 0 || name.rfind("probe.", 0) == 0) {
        ::unlink((path + "/" + name).c_str());
      }
    }
    ::closedir(dir);
  }
  ::rmdir(path.c_str());
}

}  // namespace godwit::supervise
