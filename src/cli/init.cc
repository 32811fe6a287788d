#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/os_error.h"
#include "base/random.h"
#include "base/unique_fd.h"
#include "cli/context.h"

namespace godwit::cli {
namespace {

constexpr char kPostgres[] = "postgresql://postgres:postgres@localhost/postgres";

// Fails when the file exists. Readable by its owner only: it holds secrets.
Result<void> writeNew(const std::string& path, const std::string& text) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) return osError("create " + path);
  std::size_t done = 0;
  while (done < text.size()) {
    ssize_t n = ::write(fd.get(), text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      Error e = osError("write " + path);
      ::unlink(path.c_str());
      return e;
    }
    done += static_cast<std::size_t>(n);
  }
  return {};
}

}  // namespace

int initCommand(const Context& context) {
  namespace fs = std::filesystem;
  std::string path = context.iniPath(true);
  std::error_code ec;
  if (fs::exists(path, ec)) {
    context.warn(path + " already exists.");
    return kExitFailed;
  }
  std::string backend = context.in.backend.empty() ? "sqlite" : context.in.backend;
  std::string cache = context.in.cache_backend.empty() ? backend : context.in.cache_backend;
  // Kinto's names where Kinto has one, so that it can read the file too.
  auto named = [](const char* layer, const std::string& b) {
    return b == "sqlite" ? b : std::string("kinto.core.") + layer + "." + b;
  };
  std::vector<std::pair<std::string, std::string>> active = {
      {"godwit.host", context.in.host.empty() ? "127.0.0.1" : context.in.host},
      {"includes", "kinto.plugins.default_bucket\nkinto.plugins.accounts"},
      {"storage_backend", named("storage", backend)},
      {"permission_backend", named("permission", backend)},
      {"cache_backend", named("cache", cache)},
      {"userid_hmac_secret", randomHex(32)},
      {"default_bucket_hmac_secret", randomHex(32)},
      {"multiauth.policies", "account"},
      {"multiauth.policy.account.use", "kinto.plugins.accounts.AccountsPolicy"},
      {"account_create_principals", "system.Everyone"},
      {"account_write_principals", "account:admin"},
      {"bucket_create_principals", "account:admin"}};
  if (backend == "postgresql") {
    active.emplace_back("storage_url", kPostgres);
    active.emplace_back("permission_url", kPostgres);
  }
  if (cache == "postgresql") active.emplace_back("cache_url", kPostgres);
  if (cache == "redis") active.emplace_back("cache_url", "redis://127.0.0.1/0");
  if (cache == "memcached") active.emplace_back("cache_hosts", "127.0.0.1:11211");
  if (fs::path folder = fs::path(path).parent_path(); !folder.empty()) {
    fs::create_directories(folder, ec);
    if (ec) return context.fail("create folder " + folder.string(), ec.message());
  }
  if (auto r = writeNew(path, configurationText(active)); !r.ok()) {
    return context.fail("write the configuration", r.error().message);
  }
  context.say("Created " + path + " (next: godwit create-user --ini " + path +
              " -u admin, then godwit serve --ini " + path + ")");
  return kExitOk;
}

}  // namespace godwit::cli
