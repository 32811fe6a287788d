#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "godwit/result.h"
#include "supervise/loop.h"

namespace godwit::supervise {

// Calls `changed` when one of the paths - a file, or a symbolic link, which is not followed - is
// replaced, written or touched; once for all that happens within 200 ms. Directories of the paths
// are watched, so they must exist.
class PathWatch {
 public:
  PathWatch(EventLoop& loop, std::function<void()> changed);
  ~PathWatch();
  PathWatch(const PathWatch&) = delete;
  PathWatch& operator=(const PathWatch&) = delete;
  Result<> open(const std::vector<std::string>& paths, const std::string& base);

 private:
  void readEvents();
  EventLoop& loop_;
  UniqueFd fd_;
  Timer debounce_;
  std::map<int, std::set<std::string>> names_;  // by watch descriptor
};

}  // namespace godwit::supervise
