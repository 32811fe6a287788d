#include "kinto/plugins/default_bucket.h"

#include "auth/hmac.h"
#include "kinto/app.h"
#include "kinto/exchange.h"
#include "kinto/plugins/implicit.h"
#include "kinto/resource_run.h"
#include "store/session.h"

namespace godwit::kinto {
namespace {

constexpr std::string_view kAlias = "/buckets/default";

std::string bucketIdOf(const std::string& secret, const std::string& user) {
  std::string hex = auth::hmacSha256Hex(secret, user);
  return hex.substr(0, 8) + "-" + hex.substr(8, 4) + "-" + hex.substr(12, 4) + "-" +
         hex.substr(16, 4) + "-" + hex.substr(20, 12);
}

// "c" of "collections/c/records"; "" when the path names no collection.
std::string_view collectionOf(std::string_view subpath) {
  constexpr std::string_view kPlural = "collections/";
  if (!subpath.starts_with(kPlural)) return {};
  subpath.remove_prefix(kPlural.size());
  return subpath.substr(0, subpath.find('/'));
}

std::string replaceAll(std::string_view text, std::string_view what, std::string_view with) {
  std::string out;
  std::size_t at = 0;
  for (std::size_t hit = text.find(what); hit != text.npos; hit = text.find(what, at)) {
    out.append(text.substr(at, hit - at)).append(with);
    at = hit + what.size();
  }
  return out.append(text.substr(at));
}

// Whoever posts to "default" may call the object by that name inside as well.
std::string withRealId(std::string_view body, const std::string& bucket_id) {
  if (body.find("default") == body.npos) return std::string(body);
  Result<json::Value> document = json::parse(body);
  json::Value* data = document.ok() ? document->get("data") : nullptr;
  json::Value* id = data ? data->get("id") : nullptr;
  if (!id || !id->isString()) return std::string(body);
  *id = json::Value(replaceAll(id->asString(), "default", bucket_id));
  return json::dump(*document);
}

std::string realPath(std::string_view raw_path, const std::string& bucket_id) {
  std::size_t at = raw_path.find(kAlias);
  std::string out(raw_path.substr(0, at));
  return out.append("/buckets/").append(bucket_id).append(raw_path.substr(at + kAlias.size()));
}

class DefaultBucketPlugin final : public Plugin {
 public:
  [[nodiscard]] std::string name() const override { return "default_bucket"; }
  [[nodiscard]] unsigned hooks() const override { return kHello; }

  Result<void> setUp(Setup& setup) override {
    const Config& config = setup.config();
    secret_ = config.text("default_bucket_hmac_secret", "");
    setup.addCapability(
        "default_bucket",
        R"({"description":"The default bucket is an alias for a personal bucket where )"
        R"(collections are created implicitly.",)"
        R"("url":"https://kinto.readthedocs.io/en/latest/api/1.x/buckets.html)"
        R"(#personal-bucket-default"})");
    addAlias(setup, "default_bucket", std::string(kAlias));
    addAlias(setup, "default_bucket_collection", std::string(kAlias) + "/{subpath*}");
    return {};
  }

  void helloUser(const Call& call, std::string& out) const override {
    out.append(",\"bucket\":\"").append(bucketIdOf(secret_, call.user)).append("\"");
  }

 private:
  void addAlias(Setup& setup, std::string name, std::string pattern) const {
    auto route = std::make_unique<Route>();
    route->name = std::move(name);
    route->pattern = std::move(pattern);
    route->methods = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};
    for (const std::string& method : route->methods) {
      Service& service = route->services[indexOf(methodFromName(method))];
      service.writes = method != "GET" && method != "HEAD";
      service.work = [this](store::Session& session, Call& call) { return serve(session, call); };
    }
    route->services[indexOf(http::Method::kOptions)].now = [](Call& call) { preflight(call); };
    setup.addRoute(std::move(route));
  }

  // A preflight tells nothing about the user: it is that of any bucket.
  static void preflight(Call& call) {
    Call real(call.exchange);
    std::string path = realPath(call.raw_path, "unknown");
    copyRequest(call, real, path);
    (void)call.app().route(real);
    call.answer = std::move(real.answer);
    call.answered_as = real.route;
  }

  static void copyRequest(const Call& from, Call& to, std::string_view path) {
    to.nested = from.nested;
    to.method = from.method;
    to.method_name = from.method_name;
    to.raw_path = path;
    to.raw_query = from.raw_query;
    to.headers = from.headers;
    to.body = from.body;
    to.identity = from.identity;
    to.user = from.user;
  }

  Task<bool> serve(store::Session& session, Call& call) const {
    if (!call.identity) {
      call.app().refuse(call);
      co_return false;
    }
    if (call.config().readonly) {
      setError(call.answer, 405, kErrnoMethod, "Method not allowed on this endpoint.");
      co_return false;
    }
    std::string bucket_id = bucketIdOf(secret_, call.user);
    std::string path = realPath(call.raw_path, bucket_id);
    std::string body = withRealId(call.body, bucket_id);
    Call real(call.exchange);
    copyRequest(call, real, path);
    real.body = body;
    bool routed = call.app().route(real);
    // What is about to be put needs no help to come into being.
    bool puts = call.method == http::Method::kPut;
    bool ready = co_await ensure(session, call, bucket_id, puts);
    if (!ready) co_return false;
    if (routed) {
      if (!real.service()) parseOperation(real, call.exchange.started_ms);
      if (call.exchange.mode == store::Mode::kPoint && !isShortRead(real)) {
        call.exchange.needs_scan = true;
        co_return false;
      }
      co_await call.app().execute(session, real);
    }
    call.answer = std::move(real.answer);
    call.answered_as = real.route;
    if (call.answer.status == 307) {
      // Who came by the alias is sent on by the alias.
      std::string location =
          replaceAll(call.answer.get("Location"), "/buckets/" + bucket_id, kAlias);
      call.answer.remove("Location");
      call.answer.header("Location", location);
    }
    co_return call.answer.status < 400;
  }

  static Task<bool> ensure(store::Session& session, Call& call, const std::string& bucket_id,
                           bool puts) {
    std::string_view subpath = call.params.get("subpath");
    if (!(puts && subpath.empty())) {
      Implicit bucket;
      bucket.resource = call.app().resource("bucket");
      bucket.id = bucket_id;
      bucket.uri = "/buckets/" + bucket_id;
      bool made = co_await createImplicitly(session, call, bucket);
      if (!made) co_return false;
    }
    std::string_view collection_id = collectionOf(subpath);
    bool puts_it =
        puts && subpath.size() == std::string_view("collections/").size() + collection_id.size();
    if (collection_id.empty() || puts_it) co_return true;
    Implicit collection;
    collection.resource = call.app().resource("collection");
    collection.id = collection_id;
    collection.parent = "/buckets/" + bucket_id;
    collection.uri = collection.parent + "/collections/" + collection.id;
    collection.bucket_id = bucket_id;
    bool made = co_await createImplicitly(session, call, collection);
    co_return made;
  }

  // Set once
  std::string secret_;
};

}  // namespace

std::unique_ptr<Plugin> makeDefaultBucketPlugin() {
  return std::make_unique<DefaultBucketPlugin>();
}

}  // namespace godwit::kinto
