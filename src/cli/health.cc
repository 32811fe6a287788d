#include "cli/context.h"
#include "cli/http_get.h"
#include "json/value.h"

namespace godwit::cli {
namespace {

// Where a server with these settings listens.
std::string ownUrl(const kinto::Settings& settings) {
  if (settings.has("godwit.unix")) return "unix:" + settings.getString("godwit.unix");
  std::string host = settings.getString("godwit.host");
  if (host == "0.0.0.0" || host == "*") host = "127.0.0.1";
  if (host == "::") host = "::1";
  if (host.find(':') != std::string::npos) host = "[" + host + "]";
  return "http://" + host + ":" + settings.getString("godwit.port") + "/v1/";
}

// "/v1/" and "" ask for the heartbeat; any other path is asked for as it is.
std::string pathOf(const std::string& url) {
  if (url.compare(0, 5, "unix:") == 0) return "/v1/__heartbeat__";
  std::size_t scheme = url.find("://");
  std::size_t slash = url.find('/', scheme == std::string::npos ? 0 : scheme + 3);
  std::string path = slash == std::string::npos ? "" : url.substr(slash);
  if (path.empty() || path == "/") return "/v1/__heartbeat__";
  if (path == "/v1" || path == "/v1/") return "/v1/__heartbeat__";
  return path;
}

}  // namespace

int healthCommand(const Context& context) {
  auto timeout = parseDuration(context.in.timeout);
  if (!timeout) {
    return context.fail("wait " + context.in.timeout, "not a duration (hint: 5s)", kExitUsage);
  }
  std::string url = context.in.url;
  if (url.empty()) {
    auto settings = context.loadSettings(false);
    if (!settings) return kExitConfig;
    url = ownUrl(*settings);
  }
  auto answer = httpGet(url, pathOf(url), Deadline::after(*timeout));
  int status = answer.ok() ? answer->status : 0;
  bool good = status == 200;
  if (context.in.json) {
    json::Value v = json::Value::object();
    v.asObject().set("ok", good);
    v.asObject().set("url", url);
    if (answer.ok()) {
      v.asObject().set("status", status);
      auto body = json::parse(answer->body);
      v.asObject().set("checks", body.ok() ? *body : json::Value());
    } else {
      v.asObject().set("error", answer.error().message);
    }
    context.print(json::dump(v));
    return good ? kExitOk : kExitNotReady;
  }
  if (!answer.ok()) {
    return context.fail("ask " + url,
                        answer.error().message +
                            " (hint: godwit up or godwit serve starts one; --url names another)",
                        kExitNotReady);
  }
  if (good) {
    context.print("ok " + url);
    return kExitOk;
  }
  return context.fail("call " + url + " healthy",
                      "it answers " + std::to_string(status) + " " + answer->body.substr(0, 200),
                      kExitNotReady);
}

}  // namespace godwit::cli
