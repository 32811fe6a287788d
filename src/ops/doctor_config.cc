#include <sys/stat.h>

#include "kinto/server_options.h"
#include "ops/doctor.h"

namespace godwit::ops {
namespace {

bool holdsSecrets(const kinto::Settings& settings) {
  for (const auto& [key, setting] : settings.all()) {
    bool from_file = setting.origin.kind == OriginKind::kFile;
    if (from_file && !setting.text().empty() && setting.shown(key) != setting.text()) return true;
  }
  return false;
}

}  // namespace

void examineConfig(const kinto::Settings& settings, Findings& out) {
  const std::string& file = settings.iniFile();
  out.push_back(
      {Level::kOk, "configuration", file.empty() ? "defaults and environment" : file, ""});
  for (const std::string& w : settings.warnings()) {
    out.push_back({Level::kWarning, "configuration", w, "godwit config check"});
  }
  std::string url = kinto::listenUrl(settings);
  bool secret = settings.has("userid_hmac_secret");
  if (!secret && !kinto::isLoopback(url)) {
    out.push_back(
        {Level::kProblem, "secrets", "userid_hmac_secret is empty while listening on " + url,
         "put kinto.userid_hmac_secret = $(openssl rand -hex 32) into the configuration"});
  } else {
    out.push_back(
        {Level::kOk, "secrets", secret ? "userid_hmac_secret is set" : "loopback only", ""});
  }
  struct stat info = {};
  if (file.empty() || ::stat(file.c_str(), &info) != 0 || !holdsSecrets(settings)) return;
  bool open = (info.st_mode & 0007) != 0;
  out.push_back({open ? Level::kProblem : Level::kOk, "configuration",
                 open ? file + " holds secrets and everybody may read it"
                      : file + " is not for everybody to read",
                 open ? "chmod o= " + file : ""});
}

}  // namespace godwit::ops
