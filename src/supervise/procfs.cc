#include "supervise/procfs.h"

#include <dirent.h>
#include <unistd.h>

#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "supervise/file_text.h"
#include "supervise/units.h"

namespace godwit::supervise {
namespace {

std::string slurp(const std::string& path) {
  auto r = readText(path);
  return r.ok() ? std::move(r).value() : std::string();
}

struct Stat {
  char state = 0;
  pid_t parent = 0;
  pid_t group = 0;
  std::uint64_t rss_pages = 0;
};

std::optional<Stat> statOf(pid_t pid) {
  std::string text = slurp("/proc/" + std::to_string(pid) + "/stat");
  // The name in parentheses may hold anything; fields are counted from its end.
  std::size_t close = text.rfind(')');
  if (close == std::string::npos || close + 2 >= text.size()) return std::nullopt;
  Stat out;
  const char* p = text.c_str() + close + 2;
  out.state = *p++;
  char* end = nullptr;
  out.parent = static_cast<pid_t>(std::strtol(p, &end, 10));
  out.group = static_cast<pid_t>(std::strtol(end, &end, 10));
  for (int skip = 6; skip <= 23; ++skip) std::strtoull(end, &end, 10);
  out.rss_pages = std::strtoull(end, &end, 10);
  return out;
}

template <class F>
void eachProcess(F&& f) {
  DIR* dir = ::opendir("/proc");
  if (!dir) return;
  while (dirent* e = ::readdir(dir)) {
    if (auto n = parseInt(e->d_name, 1, 1 << 30)) f(static_cast<pid_t>(*n));
  }
  ::closedir(dir);
}

}  // namespace

std::vector<pid_t> childrenOfSelf() {
  std::vector<pid_t> out;
  std::string self = std::to_string(::getpid());
  std::string path = "/proc/" + self + "/task/" + self + "/children";
  std::string text = slurp(path);
  if (!text.empty() || ::access(path.c_str(), R_OK) == 0) {
    const char* p = text.c_str();
    char* end = nullptr;
    for (long n = std::strtol(p, &end, 10); end != p; n = std::strtol(p, &end, 10)) {
      out.push_back(static_cast<pid_t>(n));
      p = end;
    }
    return out;
  }
  pid_t me = ::getpid();
  eachProcess([&](pid_t pid) {
    auto s = statOf(pid);
    if (s && s->parent == me) out.push_back(pid);
  });
  return out;
}

bool isZombie(pid_t pid) {
  auto s = statOf(pid);
  return !s || s->state == 'Z' || s->state == 'X';
}

std::uint64_t treeRss(pid_t leader) {
  std::map<pid_t, Stat> all;
  eachProcess([&](pid_t pid) {
    if (auto s = statOf(pid)) all[pid] = *s;
  });
  std::uint64_t pages = 0;
  for (const auto& [pid, s] : all) {
    pid_t at = pid;
    bool mine = s.group == leader;
    for (int depth = 0; !mine && depth < 32; ++depth) {
      mine = at == leader;
      auto it = all.find(at);
      if (it == all.end() || it->second.parent <= 1) break;
      at = it->second.parent;
    }
    if (mine) pages += s.rss_pages;
  }
  return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

bool hasEnvironment(pid_t pid, std::string_view entry) {
  std::string text = slurp("/proc/" + std::to_string(pid) + "/environ");
  std::string needle = std::string(entry) + '\0';
  std::size_t at = text.find(needle);
  return at != std::string::npos && (at == 0 || text[at - 1] == '\0');
}

bool belongsTo(pid_t pid, pid_t leader) {
  if (pid <= 0) return false;
  if (pid == leader || ::getpgid(pid) == leader) return true;
  pid_t at = pid;
  for (int depth = 0; depth < 32; ++depth) {
    auto s = statOf(at);
    if (!s || s->parent <= 1) return false;
    if (s->parent == leader || s->group == leader) return true;
    at = s->parent;
  }
  return false;
}

}  // namespace godwit::supervise
