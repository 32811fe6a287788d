#include "ops/api_source.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/options.h"
#include "ops/row_text.h"
#include "ops/uri.h"

namespace godwit::ops {
namespace {

constexpr std::size_t kMaxRows = 500;
constexpr std::size_t kMinRows = 10;
constexpr std::size_t kSmall = std::size_t{256} << 10;
constexpr std::size_t kLarge = std::size_t{1} << 20;

std::string encoded(const std::string& uri) { return percentEncode(uri, "/-._~"); }

store::Timestamp etagOf(const HttpAnswer& answer) {
  auto found = answer.headers.find("etag");
  if (found == answer.headers.end()) return 0;
  std::string text = found->second;
  std::erase(text, '"');
  return parseInt(text).value_or(0);
}

bool readObject(json::Value& from, store::Object& out) {
  if (!from.isObject() || !from.get("id") || !from.get("id")->isString()) return false;
  out.id = from.get("id")->asString();
  const json::Value* stamp = from.get("last_modified");
  out.last_modified = stamp ? stamp->toInt().value_or(0) : 0;
  if (out.last_modified <= 0) return false;
  const json::Value* deleted = from.get("deleted");
  out.deleted = deleted && deleted->isBool() && deleted->asBool();
  if (out.deleted) return true;
  from.asObject().erase("id");
  from.asObject().erase("last_modified");
  out.data = json::dump(from);
  return true;
}

Error notUnderstood(const std::string& path) {
  return Error(ErrorCode::kInvalid, "GET " + path + ": the answer is not Kinto's");
}

}  // namespace

Result<std::unique_ptr<ApiSource>> ApiSource::open(const std::string& url,
                                                   const std::string& auth) {
  auto api = Api::open(url, auth);
  if (!api.ok()) return std::move(api).error();
  return std::make_unique<ApiSource>(std::shared_ptr<Api>(std::move(*api)));
}

// nullopt: not for us to see.
Result<std::optional<List>> ApiSource::head(const store::Ref& ref) {
  std::string path = encoded(listUri(ref));
  auto answer = api_->http().request("HEAD", path);
  if (!answer.ok()) return std::move(answer).error();
  if (answer->status == 403) forbidden_.push_back(path);
  if (answer->status == 403 || answer->status == 404) return std::optional<List>();
  if (answer->status != 200) return refused("HEAD " + path, answer->status, "");
  List list;
  list.ref = ref;
  list.timestamp = etagOf(*answer);
  for (const char* name : {"total-objects", "total-records"}) {
    auto found = answer->headers.find(name);
    if (found != answer->headers.end()) {
      list.rows = static_cast<std::uint64_t>(
          std::max<std::int64_t>(parseInt(found->second).value_or(0), 0));
    }
  }
  return std::optional<List>(std::move(list));
}

// Of what lives, sorted.
Result<std::vector<std::string>> ApiSource::ids(const std::string& uri) {
  std::vector<std::string> out;
  std::string path = encoded(uri) + "?_fields=id&_limit=1000";
  while (!path.empty()) {
    auto answer = api_->http().request("GET", path);
    if (!answer.ok()) return std::move(answer).error();
    if (answer->status == 403 || answer->status == 404) return out;
    auto body = json::parse(answer->body);
    const json::Value* data = body.ok() ? body->get("data") : nullptr;
    if (answer->status != 200 || !data || !data->isArray()) {
      return refused("GET " + path, answer->status, answer->body);
    }
    for (const json::Value& v : data->asArray()) {
      if (v.get("id") && v.get("id")->isString()) out.push_back(v.get("id")->asString());
    }
    auto next = answer->headers.find("next-page");
    path = next == answer->headers.end() ? "" : next->second;
  }
  std::sort(out.begin(), out.end());
  return out;
}

Result<std::vector<List>> ApiSource::lists() {
  std::vector<List> out;
  forbidden_.clear();
  auto add = [&](const std::string& resource, const std::string& parent) -> Result<bool> {
    store::Ref ref{resource, parent};
    auto list = head(ref);
    if (!list.ok()) return std::move(list).error();
    if (!*list) return false;
    out.push_back(std::move(**list));
    return true;
  };
  auto buckets = add("bucket", "");
  if (!buckets.ok()) return std::move(buckets).error();
  if (!*buckets) return Error(ErrorCode::kForbidden, "this user may not list the buckets");
  auto names = ids("/buckets");
  if (!names.ok()) return std::move(names).error();
  for (const std::string& bucket : *names) {
    std::string uri = "/buckets/" + bucket;
    for (const char* resource : {"collection", "group"}) {
      auto seen = add(resource, uri);
      if (!seen.ok()) return std::move(seen).error();
    }
    auto collections = ids(uri + "/collections");
    if (!collections.ok()) return std::move(collections).error();
    for (const std::string& collection : *collections) {
      auto seen = add("record", uri + "/collections/" + collection);
      if (!seen.ok()) return std::move(seen).error();
    }
  }
  if (api_->has("accounts")) {
    auto accounts = ids("/accounts");
    if (!accounts.ok()) return std::move(accounts).error();
    for (const std::string& account : *accounts) {
      List& list = out.emplace_back();
      list.ref = store::Ref{"account", account};
      list.rows = 1;
    }
  }
  std::sort(out.begin(), out.end(), [](const List& a, const List& b) {
    return std::tie(a.ref.parent, a.ref.resource) < std::tie(b.ref.parent, b.ref.resource);
  });
  return out;
}

Result<Page> ApiSource::account(const store::Ref& ref, store::Timestamp after) {
  Page page;
  page.last = true;
  std::string path = encoded("/accounts/" + ref.parent);
  auto answer = api_->http().request("GET", path);
  if (!answer.ok()) return std::move(answer).error();
  if (answer->status == 404) return page;
  auto body = json::parse(answer->body);
  Row row;
  if (answer->status != 200 || !body.ok() || !body->get("data") ||
      !readObject(*body->get("data"), row.object)) {
    return refused("GET " + path, answer->status, answer->body);
  }
  if (const json::Value* p = body->get("permissions")) readPermissions(*p, row.permissions);
  if (row.object.last_modified > after) page.rows.push_back(std::move(row));
  return page;
}

// What follows a timestamp, rather than Next-Page: an interrupted walk goes on from any row.
Result<Page> ApiSource::rows(const store::Ref& ref, store::Timestamp after, bool permissions) {
  if (ref.resource == "account") return account(ref, after);
  std::string path = encoded(listUri(ref)) + "?_sort=last_modified&_since=" +
                     std::to_string(std::max<store::Timestamp>(after, 0)) +
                     "&_limit=" + std::to_string(limit_);
  Page page;
  auto answer = api_->http().request("GET", path);
  if (!answer.ok()) return std::move(answer).error();
  if (answer->status == 403 || answer->status == 404) {
    page.last = true;
    return page;
  }
  if (answer->status != 200) return refused("GET " + path, answer->status, answer->body);
  if (answer->body.size() > kLarge) limit_ = std::max(limit_ / 2, kMinRows);
  if (answer->body.size() < kSmall) limit_ = std::min(limit_ * 2, kMaxRows);
  page.last = !answer->headers.contains("next-page");
  auto body = json::parse(answer->body);
  json::Value* data = body.ok() ? body->get("data") : nullptr;
  if (!data || !data->isArray()) return notUnderstood(path);
  for (json::Value& v : data->asArray()) {
    Row& row = page.rows.emplace_back();
    if (!readObject(v, row.object)) return notUnderstood(path);
    if (row.object.last_modified <= after) return notUnderstood(path);
    after = row.object.last_modified;
  }
  if (page.rows.empty()) page.last = true;
  if (permissions) GODWIT_TRY(addPermissions(ref, page));
  return page;
}

Result<void> ApiSource::addPermissions(const store::Ref& ref, Page& page) {
  std::vector<Api::Call> calls;
  std::vector<Row*> rows;
  for (Row& row : page.rows) {
    if (row.object.deleted) continue;
    Api::Call& call = calls.emplace_back();
    call.method = "GET";
    // Whole: with _fields the permissions are left out too.
    call.path = encoded(objectUri(ref, row.object.id));
    rows.push_back(&row);
  }
  auto replies = api_->batch(calls);
  if (!replies.ok()) return std::move(replies).error();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Api::Reply& reply = (*replies)[i];
    // Deleted since: its tombstone follows.
    if (reply.status == 404) continue;
    const json::Value* p = reply.body.get("permissions");
    if (reply.status != 200 || !p || !readPermissions(*p, rows[i]->permissions)) {
      return refused("GET " + calls[i].path, reply.status, json::dump(reply.body));
    }
    if (rows[i]->permissions.empty()) ++hidden_;
  }
  return {};
}

std::vector<std::string> ApiSource::notes() const {
  std::vector<std::string> out;
  if (!forbidden_.empty()) {
    out.push_back("this user may not list " + forbidden_.front() +
                  (forbidden_.size() > 1
                       ? " and " + std::to_string(forbidden_.size() - 1) + " other lists"
                       : std::string()));
  }
  if (hidden_ > 0) {
    out.push_back("the server shows no permissions of " + std::to_string(hidden_) +
                  " objects: it does so only to those whom the object itself lets write");
  }
  return out;
}

}  // namespace godwit::ops
