#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "godwit/result.h"
#include "supervise/options.h"

namespace godwit::supervise {

using Environment = std::map<std::string, std::string, std::less<>>;

// What a generation was made of, so that the same can be started again after the files, links and
// variables it came from have changed.
struct ReleaseSpec {
  std::vector<std::string> command;  // placeholders unexpanded
  std::string cwd;
  UniqueFd cwd_fd;         // O_PATH: the directory itself, whatever its name means later
  std::string release;     // target of --release-link
  std::string executable;  // resolved path of the command when it was started
  Environment env;
};

// The environment this program was started with, less what concerned only itself.
Environment inheritedEnvironment();

// Reads --cwd, --release-link, --env-file and --env-dir as they are now.
Result<std::shared_ptr<ReleaseSpec>> readRelease(const ServiceOptions& options,
                                                 const Environment& inherited,
                                                 const std::string& logical_cwd);

// $PWD if it names the current directory (a path through links stays one), else getcwd.
std::string logicalCwd();

}  // namespace godwit::supervise
