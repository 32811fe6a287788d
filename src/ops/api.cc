#include "ops/api.h"

#include <algorithm>

namespace godwit::ops {
namespace {

// A body limit of servers is not told; records are rarely as large.
constexpr std::size_t kMaxBatchBytes = 900'000;
constexpr std::size_t kMaxBatch = 100;

}  // namespace

Error refused(const std::string& what, long status, const std::string& body) {
  return Error(ErrorCode::kForbidden,
               what + ": it answers " + std::to_string(status) + " " + body.substr(0, 300));
}

Result<std::unique_ptr<Api>> Api::open(const std::string& url, const std::string& auth) {
  std::unique_ptr<Api> api(new Api(url, auth));
  auto hello = api->http_.request("GET", "/");
  if (!hello.ok()) return std::move(hello).error();
  auto body = json::parse(hello->body);
  if (hello->status != 200 || !body.ok() || !body->get("http_api_version")) {
    return Error(ErrorCode::kInvalid, url +
                                          " is not the root of a Kinto API, such as "
                                          "http://host:8888/v1 (it answers " +
                                          std::to_string(hello->status) + ")");
  }
  if (const json::Value* user = body->get("user"); user && user->get("id")) {
    if (user->get("id")->isString()) api->user_ = user->get("id")->asString();
  }
  if (const json::Value* settings = body->get("settings")) {
    const json::Value* most = settings->get("batch_max_requests");
    if (most && most->toInt().value_or(0) > 0) {
      api->batch_ = std::min(static_cast<std::size_t>(*most->toInt()), kMaxBatch);
    }
  }
  if (json::Value* capabilities = body->get("capabilities")) {
    api->capabilities_ = std::move(*capabilities);
  }
  const std::string& root = api->http_.root();
  std::size_t slash = root.find('/', root.find("://") + 3);
  if (slash != std::string::npos) api->prefix_ = root.substr(slash);
  return api;
}

bool Api::has(const std::string& capability) const {
  return capabilities_.get(capability) != nullptr;
}

Result<std::vector<Api::Reply>> Api::batch(const std::vector<Call>& calls) {
  std::vector<Reply> out;
  out.reserve(calls.size());
  for (std::size_t from = 0; from < calls.size();) {
    std::size_t to = from;
    std::size_t bytes = 0;
    while (to < calls.size() && to - from < batch_ &&
           (to == from || bytes + calls[to].body.size() < kMaxBatchBytes)) {
      bytes += calls[to++].body.size();
    }
    GODWIT_TRY(few(calls, from, to, out));
    from = to;
  }
  return out;
}

Result<void> Api::few(const std::vector<Call>& calls, std::size_t from, std::size_t to,
                      std::vector<Reply>& out) {
  std::string body = "{\"requests\":[";
  for (std::size_t i = from; i < to; ++i) {
    const Call& c = calls[i];
    if (i > from) body += ',';
    body += "{\"method\":\"" + c.method + "\",\"path\":";
    json::dumpString(body, prefix_ + c.path);
    if (!c.body.empty()) body += ",\"body\":" + c.body;
    if (c.if_none_match) body += ",\"headers\":{\"If-None-Match\":\"*\"}";
    if (!c.if_match.empty()) body += ",\"headers\":{\"If-Match\":\"\\\"" + c.if_match + "\\\"\"}";
    body += '}';
  }
  body += "]}";
  auto answer = http_.request("POST", "/batch", body);
  if (!answer.ok()) return std::move(answer).error();
  auto read = json::parse(answer->body);
  json::Value* responses = read.ok() ? read->get("responses") : nullptr;
  if (answer->status != 200 || !responses || !responses->isArray() ||
      responses->asArray().size() != to - from) {
    return refused("POST /batch", answer->status, answer->body);
  }
  for (json::Value& r : responses->asArray()) {
    Reply& reply = out.emplace_back();
    if (const json::Value* status = r.get("status")) reply.status = status->toInt().value_or(0);
    if (json::Value* b = r.get("body")) reply.body = std::move(*b);
    if (reply.status == 401 || reply.status >= 500) {
      return refused("POST /batch", reply.status, json::dump(reply.body));
    }
  }
  return {};
}

}  // namespace godwit::ops
