#include "supervise/path_watch.h"

#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <cstring>

#include "base/os_error.h"

namespace godwit::supervise {
namespace {
constexpr TimeNs kDebounce = 200 * kMs;
}

PathWatch::PathWatch(EventLoop& loop, std::function<void()> changed)
    : loop_(loop), debounce_(loop, std::move(changed)) {}

PathWatch::~PathWatch() {
  if (fd_) loop_.remove(fd_.get());
}

Result<> PathWatch::open(const std::vector<std::string>& paths, const std::string& base) {
  fd_.reset(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!fd_) return osError("create an inotify instance");
  for (std::string path : paths) {
    if (path.front() != '/') path = base + "/" + path;
    while (path.size() > 1 && path.back() == '/') path.pop_back();
    std::size_t slash = path.rfind('/');
    std::string dir = slash == 0 ? "/" : path.substr(0, slash);
    int wd = ::inotify_add_watch(fd_.get(), dir.c_str(),
                                 IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE | IN_ATTRIB | IN_ONLYDIR);
    if (wd < 0) return osError("watch " + dir);
    names_[wd].insert(path.substr(slash + 1));
  }
  return loop_.add(fd_.get(), EPOLLIN, [this](std::uint32_t) { readEvents(); });
}

void PathWatch::readEvents() {
  alignas(inotify_event) char buffer[8192];
  ssize_t n = ::read(fd_.get(), buffer, sizeof buffer);
  bool hit = false;
  for (ssize_t at = 0; at < n;) {
    inotify_event e{};
    std::memcpy(&e, buffer + at, sizeof e);
    const char* name = buffer + at + sizeof e;
    auto it = names_.find(e.wd);
    if (e.mask & IN_Q_OVERFLOW) hit = true;
    if (it != names_.end() && e.len > 0 && it->second.count(name)) hit = true;
    at += static_cast<ssize_t>(sizeof e + e.len);
  }
  // From the first event: a file that is written without end must not postpone the reload.
  if (hit && !debounce_.armed()) debounce_.armIn(kDebounce);
}

}  // namespace godwit::supervise
