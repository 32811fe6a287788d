#include "kinto/batch.h"

#include <algorithm>
#include <array>

#include "base/encoding.h"
#include "kinto/app.h"
#include "kinto/exchange.h"
#include "kinto/operation.h"
#include "kinto/text.h"

namespace godwit::kinto {
namespace {

using json::Value;

constexpr std::size_t kMaxItems = 10'000;  // even where the setting sets no limit
constexpr int kMaxRedirects = 1;
constexpr std::array<std::string_view, 7> kMethods7 = {"GET",  "HEAD", "DELETE", "TRACE",
                                                       "POST", "PUT",  "PATCH"};

std::string notMapping(const Value& v) {
  return "\"" + pythonText(v) +
         "\" is not a mapping type: Does not implement dict-like functionality.";
}

// Adds what `item` lacks, at every level; what it has stays.
void mergeDefaults(Value& item, const Value& defaults) {
  for (const auto& [key, value] : defaults.asObject()) {
    Value* existing = item.get(key);
    if (!existing) {
      item.asObject().set(key, value);
    } else if (existing->isObject() && value.isObject()) {
      mergeDefaults(*existing, value);
    }
  }
}

void checkItem(const Value& item, const std::string& at, bool needs_path,
               std::vector<Problem>& problems) {
  if (!item.isObject()) {
    problems.emplace_back("body", at, notMapping(item));
    return;
  }
  Value unknown = Value::object();
  for (const auto& [key, value] : item.asObject()) {
    if (key != "method" && key != "path" && key != "headers" && key != "body") {
      unknown.asObject().set(key, value);
    }
  }
  if (!unknown.asObject().empty()) {
    problems.emplace_back("body", at,
                          "Unrecognized keys in mapping: \"" + pythonRepr(unknown) + "\"");
    return;
  }
  auto isText = [&](const char* key, const Value& value) {
    if (value.isString()) return true;
    problems.emplace_back("body", at + "." + key,
                          pythonText(value) + " is not a string: {'" + key + "': ''}");
    return false;
  };
  const Value* method = item.get("method");
  if (method && isText("method", *method) &&
      std::find(kMethods7.begin(), kMethods7.end(), method->asString()) == kMethods7.end()) {
    problems.emplace_back(
        "body", at + ".method",
        "\"" + method->asString() + "\" is not one of GET, HEAD, DELETE, TRACE, POST, PUT, PATCH");
  }
  const Value* path = item.get("path");
  if (!path || (path->isString() && path->asString().empty())) {
    if (needs_path) problems.emplace_back("body", at + ".path", "Required");
  } else if (isText("path", *path) && path->asString().front() != '/') {
    problems.emplace_back("body", at + ".path", "String does not match expected pattern");
  }
  if (const Value* headers = item.get("headers")) {
    if (!headers->isObject()) {
      problems.emplace_back("body", at + ".headers", notMapping(*headers));
    } else {
      const json::Object& o = headers->asObject();
      bool ok = std::all_of(o.begin(), o.end(), [](const auto& m) { return m.second.isString(); });
      if (!ok) {
        problems.emplace_back("body", at + ".headers",
                              pythonRepr(*headers) + " contains non string value");
      }
    }
  }
  if (const Value* body = item.get("body"); body && !body->isObject()) {
    problems.emplace_back("body", at + ".body", notMapping(*body));
  }
}

bool safeHeader(std::string_view text) {
  return std::none_of(text.begin(), text.end(),
                      [](char c) { return c == '\r' || c == '\n' || c == '\0'; });
}

BatchItem makeItem(const Value& spec, const std::string& prefix) {
  BatchItem item;
  if (const Value* method = spec.get("method")) item.method = method->asString();
  std::string target = spec.get("path")->asString();
  if (target.compare(0, prefix.size(), prefix) != 0) target = prefix + target;
  target = target.substr(0, target.find('#'));
  auto question = target.find('?');
  item.path = target.substr(0, question);
  if (question != std::string::npos) item.query = target.substr(question + 1);
  if (const Value* headers = spec.get("headers")) {
    for (const auto& [name, value] : headers->asObject()) {
      if (safeHeader(name) && safeHeader(value.asString())) {
        item.headers.emplace_back(name, value.asString());
      }
    }
  }
  const Value* body = spec.get("body");
  if (body && !body->asObject().empty()) {
    item.body = json::dump(*body);
    item.headers.emplace_back("Content-Type", "application/json; charset=utf-8");
  }
  return item;
}

}  // namespace

BatchRequest parseBatch(const Call& call, std::vector<Problem>& problems) {
  BatchRequest out;
  Value document = Value::object();
  if (!call.body.empty()) {
    auto parsed = json::parse(call.body);
    if (!parsed) {
      problems.emplace_back("body", "", "Invalid JSON: " + parsed.error().message);
      problems.emplace_back("body", "", "Required");
      return out;
    }
    document = std::move(*parsed);
    if (!document.isObject()) {
      problems.emplace_back(
          "body", "",
          document.isArray() ? notMapping(document) : "Should be a JSON object or an array");
      return out;
    }
  }
  Value unknown = Value::object();
  for (const auto& [key, value] : document.asObject()) {
    if (key != "defaults" && key != "requests") unknown.asObject().set(key, value);
  }
  if (!unknown.asObject().empty()) {
    problems.emplace_back("body", "",
                          "Unrecognized keys in mapping: \"" + pythonRepr(unknown) + "\"");
    return out;
  }
  const Value* defaults = document.get("defaults");
  if (defaults) checkItem(*defaults, "defaults", false, problems);
  Value* requests = document.get("requests");
  if (!requests) {
    problems.emplace_back("body", "requests", "Required");
    return out;
  }
  if (!requests->isArray()) {
    problems.emplace_back("body", "requests", "\"" + pythonText(*requests) + "\" is not iterable");
    return out;
  }
  if (!problems.empty()) return out;
  auto limit = call.config().batch_max_requests;
  if (limit && *limit == 0) limit.reset();
  std::size_t most = limit ? *limit : kMaxItems;
  if (requests->asArray().size() > most) {
    problems.emplace_back("body", "requests",
                          "Number of requests is limited to " + std::to_string(most));
    return out;
  }
  std::size_t index = 0;
  for (Value& item : requests->asArray()) {
    if (defaults && item.isObject()) mergeDefaults(item, *defaults);
    checkItem(item, "requests." + std::to_string(index++), true, problems);
  }
  if (!problems.empty()) return out;
  const std::string prefix = "/" + call.config().routePrefix();
  for (const Value& spec : requests->asArray()) {
    if (spec.get("path")->asString().find("/batch") != std::string::npos) {
      problems.emplace_back("body", "requests", "Recursive call on /batch endpoint is forbidden.");
      return out;
    }
    out.items.push_back(makeItem(spec, prefix));
    const std::string& method = out.items.back().method;
    if (method != "GET" && method != "HEAD") out.only_reads = false;
  }
  return out;
}

namespace {

// What the item inherits from the batch, then what it says itself.
void fill(Call& item_call, const BatchItem& item, const Call& batch) {
  item_call.nested = true;
  item_call.method = methodFromName(item.method);
  item_call.method_name = item.method;
  item_call.raw_path = item.path;
  item_call.raw_query = item.query;
  item_call.body = item.body;
  item_call.headers = batch.headers;
  for (const auto& [name, value] : item.headers) item_call.headers.set(name, value);
  item_call.identity = item_call.exchange.identityOf(item_call.headers.authorization);
}

void appendHeaders(std::string& out, const Answer& answer) {
  out += '{';
  if (!answer.content_type.empty()) {
    out.append("\"Content-Type\":");
    json::dumpString(out, answer.content_type);
    out.append(",\"Content-Length\":\"").append(std::to_string(answer.body.size())).append("\"");
  } else {
    out.append("\"Content-Length\":\"0\"");
  }
  std::string_view rest = answer.headers();
  while (!rest.empty()) {
    std::size_t end = rest.find("\r\n");
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end + 2);
    std::size_t colon = line.find(": ");
    out += ',';
    json::dumpString(out, line.substr(0, colon));
    out += ':';
    json::dumpString(out, line.substr(colon + 2));
  }
  out += '}';
}

void appendResponse(std::string& out, const Call& item) {
  const Answer& answer = item.answer;
  out.append("{\"status\":").append(std::to_string(answer.status)).append(",\"path\":");
  json::dumpString(out, item.decoded);
  out.append(",\"headers\":");
  appendHeaders(out, answer);
  out.append(",\"body\":");
  if (item.method == http::Method::kHead || answer.body.empty()) {
    out.append("\"\"");
  } else if (answer.content_type == "application/json") {
    out.append(answer.body);
  } else {
    json::dumpString(out, answer.body);
  }
  out += '}';
}

}  // namespace

Task<bool> runBatch(store::Session& session, Call& call) {
  Exchange& exchange = call.exchange;
  std::string out = "{\"responses\":[";
  bool first = true;
  for (const BatchItem& original : exchange.batch->items) {
    BatchItem redirected;
    const BatchItem* item = &original;
    for (int hop = 0;; ++hop) {
      Call item_call(exchange);
      fill(item_call, *item, call);
      co_await call.app().invoke(session, item_call);
      if (exchange.needs_scan || exchange.needs_write) co_return false;
      // Nothing of the batch is kept: what came before must not be told as done.
      bool undone = exchange.backend_failed ||
                    (item_call.answer.status >= 500 && item_call.answer.errno_code != 0);
      if (undone) {
        call.answer = std::move(item_call.answer);
        co_return false;
      }
      if (item_call.answer.status == 307 && hop < kMaxRedirects) {
        redirected = original;
        std::string_view location = item_call.answer.get("Location");
        location.remove_prefix(std::min(item_call.baseUrl().size(), location.size()));
        redirected.path = location.substr(0, location.find('?'));
        item = &redirected;
        continue;
      }
      if (!first) out += ',';
      first = false;
      appendResponse(out, item_call);
      break;
    }
  }
  out += "]}";
  call.answer.body = std::move(out);
  co_return true;
}

}  // namespace godwit::kinto
