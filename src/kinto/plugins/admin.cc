#include "kinto/plugins/admin.h"

#include <fstream>
#include <iterator>
#include <optional>

#include "base/log.h"
#include "base/text.h"
#include "godwit/http/static_files.h"
#include "json/value.h"
#include "kinto/app.h"

namespace godwit::kinto {
namespace {

// What the application needs: its own scripts and styles, also inside its page, and any picture.
constexpr std::string_view kPolicy =
    "default-src 'self'; img-src data: *; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'";

constexpr std::string_view kHelp =
    "<!doctype html>\n<html>\n<head><meta charset=\"utf-8\"><title>No admin application</title>"
    "</head>\n<body>\n<h1>The admin application is not here yet</h1>\n"
    "<p>This server serves any build of <em>kinto-admin</em>, but comes without one.</p>\n<ol>\n"
    "<li>Unpack a release of kinto-admin (<code>kinto-admin-release.tar</code>), or build one with "
    "<code>ASSET_PATH=\"/v1/admin/\"</code>, into a folder of this machine: "
    "<code>index.html</code> and <code>VERSION</code> must be in it.</li>\n"
    "<li>Name the folder in the configuration: <code>kinto.admin_assets_path = /path/to/folder"
    "</code></li>\n<li>Start the server again.</li>\n</ol>\n</body>\n</html>\n";

std::string readVersion(const std::string& folder) {
  std::ifstream file(folder + "/VERSION", std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  return std::string(trim(text));
}

class AdminPlugin final : public Plugin {
 public:
  [[nodiscard]] std::string name() const override { return "admin"; }

  Result<void> setUp(Setup& setup) override {
    const Config& config = setup.config();
    std::string folder = config.text("admin_assets_path");
    std::string version = config.project_version;
    if (!folder.empty()) {
      auto opened = http::StaticFiles::open(folder);
      if (!opened.ok())
        return Error(opened.error().code, "admin_assets_path: " + opened.error().message);
      files_.emplace(std::move(*opened));
      version = readVersion(folder);
      if (version.empty()) log::warn("admin_assets_path: no VERSION in " + folder);
    }
    json::Object capability;
    capability.set("version", version);
    capability.set("description", "Serves the admin console.");
    capability.set("url", "https://github.com/Kinto/kinto-admin/");
    setup.addCapability("admin", json::dump(json::Value(std::move(capability))));
    add(setup, "admin_redirect", "/admin", [](Call& call) {
      call.answer.status = 307;
      std::string where = call.baseUrl() + "/" + call.config().routePrefix() + "/admin/";
      call.answer.header("Location", where);
    });
    add(setup, "admin", "/admin/{subpath*}", [this](Call& call) { show(call); });
    return {};
  }

 private:
  static void add(Setup& setup, std::string name, std::string pattern,
                  std::function<void(Call&)> now) {
    auto route = std::make_unique<Route>();
    route->name = std::move(name);
    route->pattern = std::move(pattern);
    route->methods = {"GET"};
    route->services[indexOf(http::Method::kGet)].now = std::move(now);
    setup.addRoute(std::move(route));
  }

  void show(Call& call) const {
    Answer& answer = call.answer;
    std::string_view path = call.params.get("subpath");
    bool there = files_ && files_->has(path);
    if (call.nested || (!there && !path.empty()))
      return setError(answer, 404, kErrnoMissingResource,
                      "The resource you are looking for could not be found.");
    answer.own_policy = true;
    answer.header("Content-Security-Policy", kPolicy);
    if (there) {
      answer.files = &*files_;
      answer.file = path;
      return;
    }
    answer.header("X-Content-Type-Options", "nosniff");
    answer.content_type = "text/html; charset=utf-8";
    answer.body = kHelp;
  }

  std::optional<http::StaticFiles> files_;  // set once
};

}  // namespace

std::unique_ptr<Plugin> makeAdminPlugin() { return std::make_unique<AdminPlugin>(); }

}  // namespace godwit::kinto
