#include "kinto/secret.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os_error.h"
#include "base/random.h"
#include "base/unique_fd.h"

namespace godwit::kinto {
namespace {

constexpr std::size_t kHexLength = 64;

Result<std::string> readSecret(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return osError("open " + path);
  struct stat st {};
  if (::fstat(fd.get(), &st) != 0) return osError("read " + path);
  if ((st.st_mode & 077) != 0) {
    return Error(ErrorCode::kInvalid,
                 path + " can be read by others (hint: chmod 600 " + path + ")");
  }
  char buf[kHexLength + 1];
  ssize_t n = ::read(fd.get(), buf, sizeof buf);
  if (n < static_cast<ssize_t>(kHexLength)) {
    return Error(ErrorCode::kInvalid,
                 path +
                     " does not hold a secret (hint: remove it to have a new one made; "
                     "every basic-auth user id changes then)");
  }
  return std::string(buf, kHexLength);
}

}  // namespace

Result<std::string> keptSecret(const std::string& path) {
  if (::access(path.c_str(), F_OK) == 0) return readSecret(path);
  // Complete before it has its name, so that nobody reads half of it.
  std::string made = path + "." + randomHex(8);
  UniqueFd fd(::open(made.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) return osError("create " + path);
  std::string text = randomHex(kHexLength / 2) + "\n";
  bool written = ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                 ::fsync(fd.get()) == 0;
  // link() does not replace: whoever came first has made the secret.
  bool named = written && (::link(made.c_str(), path.c_str()) == 0 || errno == EEXIST);
  Error failed = named ? Error() : osError("write " + path);
  ::unlink(made.c_str());
  if (!named) return failed;
  return readSecret(path);
}

}  // namespace godwit::kinto
