#include "cli/stack.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/crc32c.h"
#include "base/os_error.h"
#include "base/unique_fd.h"

namespace godwit::cli {
namespace {

constexpr std::string_view kSeal =
    "# Written by godwit up. Edit it and it is yours: it is not written again. Seal ";

std::string checksum(std::string_view text) {
  std::array<char, 16> hex{};
  std::snprintf(hex.data(), hex.size(), "%08x", crc32c(text.data(), text.size()));
  return hex.data();
}

}  // namespace

StackPlaces::StackPlaces(std::string state_folder)
    : folder(std::move(state_folder)),
      ini(folder + "/godwit.ini"),
      agent(folder + "/godwit-agent.ini"),
      conf(folder + "/godwit-run.conf"),
      control(folder + "/run.sock"),
      spool(folder + "/spool"),
      metrics_log(folder + "/metrics.log"),
      log(folder + "/godwit.log") {}

Result<StackPlaces> stackPlaces(const Context& context) {
  std::string folder = context.in.state_dir;
  if (folder.empty()) folder = context.variable("GODWIT_STATE_DIR");
  if (folder.empty() && ::geteuid() == 0) folder = "/var/lib/godwit";
  if (folder.empty()) {
    std::string state = context.variable("XDG_STATE_HOME");
    std::string home = context.variable("HOME");
    if (state.empty() && !home.empty()) state = home + "/.local/state";
    if (state.empty()) {
      return Error(ErrorCode::kInvalid, "no folder is known (hint: --state-dir DIR)");
    }
    folder = state + "/godwit";
  }
  std::error_code failed;
  std::filesystem::path path = std::filesystem::absolute(folder, failed).lexically_normal();
  if (failed) return Error(ErrorCode::kOs, folder + ": " + failed.message());
  if (!path.has_filename()) path = path.parent_path();
  return StackPlaces(path.string());
}

std::string siblingProgram(const Context& context, std::string_view name) {
  std::error_code failed;
  auto own = std::filesystem::read_symlink("/proc/self/exe", failed);
  if (!failed) {
    std::string beside = own.parent_path().string() + "/" + std::string(name);
    if (::access(beside.c_str(), X_OK) == 0) return beside;
  }
  std::string path = context.variable("PATH");
  for (std::size_t at = 0; at <= path.size();) {
    std::size_t end = std::min(path.find(':', at), path.size());
    std::string candidate = path.substr(at, end - at) + "/" + std::string(name);
    if (end > at && ::access(candidate.c_str(), X_OK) == 0) return candidate;
    at = end + 1;
  }
  return "";
}

std::string sealed(std::string_view text) {
  return std::string(kSeal) + checksum(text) + ".\n" + std::string(text);
}

bool unedited(std::string_view file) {
  std::size_t eol = file.find('\n');
  if (!file.starts_with(kSeal) || eol == std::string_view::npos) return false;
  return file.substr(kSeal.size(), eol - kSeal.size()) == checksum(file.substr(eol + 1)) + ".";
}

std::optional<std::string> readFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  return std::string((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
}

Result<void> writeFile(const std::string& path, const std::string& text) {
  std::string made = path + ".new";
  UniqueFd fd(::open(made.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd) return osError("create " + made);
  for (std::size_t done = 0; done < text.size();) {
    ssize_t n = ::write(fd.get(), text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      Error e = osError("write " + made);
      ::unlink(made.c_str());
      return e;
    }
    done += static_cast<std::size_t>(n);
  }
  if (::fsync(fd.get()) != 0 || ::rename(made.c_str(), path.c_str()) != 0) {
    Error e = osError("write " + path);
    ::unlink(made.c_str());
    return e;
  }
  return {};
}

}  // namespace godwit::cli
