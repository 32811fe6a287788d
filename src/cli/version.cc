#include <curl/curl.h>
#include <libpq-fe.h>
#include <openssl/crypto.h>
#include <sqlite3.h>

#include <boost/version.hpp>

#include "build_info.h"
#include "cli/context.h"
#include "json/value.h"

namespace godwit::cli {
namespace {

std::string dotted(int major, int minor, int patch) {
  return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(patch);
}

// Versions of what is loaded, not of what was compiled against, where the library tells.
std::vector<std::pair<std::string, std::string>> libraries() {
  int pq = ::PQlibVersion();
  return {
      {"boost", dotted(BOOST_VERSION / 100000, BOOST_VERSION / 100 % 1000, BOOST_VERSION % 100)},
      {"curl", ::curl_version_info(CURLVERSION_NOW)->version},
      {"libpq", std::to_string(pq / 10000) + "." + std::to_string(pq % 10000)},
      {"openssl", ::OpenSSL_version(OPENSSL_FULL_VERSION_STRING)},
      {"sqlite", ::sqlite3_libversion()}};
}

}  // namespace

std::string programVersion() { return GODWIT_VERSION; }

int versionCommand(const Context& context) {
  auto used = libraries();
  if (context.in.json) {
    json::Value libs = json::Value::object();
    for (const auto& [name, version] : used) libs.asObject().set(name, version);
    json::Value v = json::Value::object();
    v.asObject().set("name", "godwit");
    v.asObject().set("version", GODWIT_VERSION);
    v.asObject().set("commit", GODWIT_COMMIT);
    v.asObject().set("build", GODWIT_BUILD);
    v.asObject().set("compiler", __VERSION__);
    v.asObject().set("libraries", std::move(libs));
    context.print(json::dump(v));
    return kExitOk;
  }
  context.print("godwit " GODWIT_VERSION " (" GODWIT_COMMIT ", " GODWIT_BUILD ")");
  std::string line = "compiler " __VERSION__;
  for (const auto& [name, version] : used) line += ", " + name + " " + version;
  context.print(line);
  return kExitOk;
}

}  // namespace godwit::cli
