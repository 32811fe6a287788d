#include "kinto/plugins/history.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "base/clock.h"
#include "base/text.h"
#include "json/text.h"
#include "json/value.h"
#include "kinto/app.h"
#include "kinto/exchange.h"
#include "kinto/ids.h"
#include "kinto/plugins/snapshot.h"
#include "kinto/render.h"
#include "kinto/text.h"
#include "store/session.h"

namespace godwit::kinto {
namespace {

struct HistorySettings {
  std::vector<std::string> excluded_uris, excluded_users, trimmed_users;
  std::int64_t keep = -1;  // below 1: everything
  std::int64_t slack = 100;
};

bool contains(const std::vector<std::string>& list, std::string_view what) {
  return std::find(list.begin(), list.end(), what) != list.end();
}

// {"bucket":"b","collection":"c"} of "/buckets/b/collections/c".
std::string uriAsJson(std::string_view uri) {
  auto parts = split(uri, '/');
  std::string out = "{";
  for (std::size_t i = 1; i + 1 < parts.size(); i += 2) {
    std::string_view plural = parts[i];
    if (out.size() > 1) out += ',';
    json::dumpString(out, plural.substr(0, plural.empty() ? 0 : plural.size() - 1));
    out += ':';
    json::dumpString(out, parts[i + 1]);
  }
  return out + "}";
}

std::string listAsJson(const std::vector<std::string>& list,
                       std::string (*each)(std::string_view)) {
  std::string out = "[";
  for (const std::string& item : list) {
    if (out.size() > 1) out += ',';
    out += each(item);
  }
  return out + "]";
}

std::string quoted(std::string_view s) {
  std::string out;
  json::dumpString(out, s);
  return out;
}

store::Permissions group(const std::vector<store::Ace>& aces, std::string_view uri) {
  store::Permissions out;
  for (const store::Ace& ace : aces) {
    if (ace.uri != uri) continue;
    auto it = std::find_if(out.begin(), out.end(),
                           [&](const auto& e) { return e.first == ace.permission; });
    if (it == out.end()) it = out.emplace(out.end(), ace.permission, std::vector<std::string>());
    it->second.push_back(ace.principal);
  }
  return out;
}

class HistoryPlugin final : public Plugin {
 public:
  [[nodiscard]] std::string name() const override { return "history"; }
  [[nodiscard]] unsigned hooks() const override { return kAfterWrite; }

  Result<void> setUp(Setup& setup) override {
    const Config& config = setup.config();
    GODWIT_TRY(read(config));
    explicit_permissions_ = config.explicit_permissions;
    std::string capability =
        R"({"description":"Track changes on data.",)"
        R"("url":"http://kinto.readthedocs.io/en/latest/api/1.x/history.html")";
    if (settings_.keep > 0)
      capability += ",\"auto_trim_max_count\":" + std::to_string(settings_.keep);
    if (!settings_.trimmed_users.empty()) {
      capability += ",\"auto_trim_user_ids\":" + listAsJson(settings_.trimmed_users, quoted);
    }
    if (!settings_.excluded_uris.empty()) {
      capability += ",\"excluded_resources\":" + listAsJson(settings_.excluded_uris, uriAsJson);
    }
    setup.addCapability("history", capability + "}");

    Resource history;
    history.name = "history";
    history.plural_path = "/buckets/{bucket_id}/history";
    history.parent = setup.resource("bucket");
    history.permissions = {"read", "write"};
    history.rules = {{"read", {{"bucket", {"write", "read"}}, {"history", {"write", "read"}}}},
                     {"write", {{"bucket", {"write"}}, {"history", {"write"}}}}};
    history.strict = true;
    history.known_fields = {"user_id",   "uri",           "action",   "date",      "resource_name",
                            "bucket_id", "collection_id", "group_id", "record_id", "target"};
    history.text_fields = {"bucket_id", "collection_id", "record_id"};
    history.plural_methods = {"GET", "DELETE"};
    history.object_methods = {};
    setup.addResource(std::move(history));
    setup.addRoute(makeSnapshotRoute());
    return {};
  }

  Task<bool> afterWrite(store::Session& session, Call& call, const Event& event) override {
    const std::string& resource = event.resource->name;
    bool tracked = resource == "bucket" || resource == "group" || resource == "collection" ||
                   resource == "record";
    // What happened to a bucket goes with it.
    if (!tracked || (resource == "bucket" && event.action == Action::kDelete)) co_return true;
    if (contains(settings_.excluded_users, event.user_id)) co_return true;
    std::string bucket =
        "/buckets/" + (event.bucket_id.empty() ? event.object.id : event.bucket_id);
    std::string collection;
    if (!event.collection_id.empty()) collection = bucket + "/collections/" + event.collection_id;
    for (const std::string& uri : {bucket, collection, event.uri}) {
      if (contains(settings_.excluded_uris, uri)) co_return true;
    }

    std::vector<std::string> uris = {bucket};
    if (event.uri != bucket) uris.push_back(event.uri);
    if (!collection.empty()) uris.push_back(collection);
    Result<std::vector<store::Ace>> aces = co_await session.aces(uris);
    if (!aces.ok()) co_return failed(call, aces.error());
    store::Object entry = makeEntry(event, group(*aces, event.uri));
    store::Ref list{"history", bucket};
    Result<store::Object> created = co_await session.create(list, std::move(entry));
    if (!created.ok()) co_return failed(call, created.error());
    if (explicit_permissions_) {
      store::Permissions readers = readersOf(*aces);
      std::string uri = bucket + "/history/" + created->id;
      Result<void> granted = co_await session.replaceAces(uri, readers);
      if (!granted.ok()) co_return failed(call, granted.error());
    }
    bool trimmed = co_await trim(session, call, event, list);
    co_return trimmed;
  }

 private:
  static bool failed(Call& call, const Error& error) {
    call.app().storageFailed(call, error);
    return false;
  }

  Result<void> read(const Config& config) {
    settings_.excluded_uris = config.list("history.exclude_resources");
    settings_.excluded_users = config.list("history.exclude_user_ids");
    settings_.trimmed_users = config.list("history.auto_trim_user_ids");
    auto number = [&](const char* key, std::int64_t& out) -> Result<void> {
      std::string text = config.text(key);
      if (text.empty()) return {};
      auto n = toInt(text);
      if (!n)
        return Error(ErrorCode::kInvalid,
                     std::string(key) + ": \"" + text + "\" is not a whole number");
      out = *n;
      return {};
    };
    GODWIT_TRY(number("history.auto_trim_max_count", settings_.keep));
    return number("history.auto_trim_threshold", settings_.slack);
  }

  static store::Object makeEntry(const Event& event, const store::Permissions& permissions) {
    store::Object entry;
    entry.id = makeId(IdKind::kUuid4);
    std::string& out = entry.data;
    out = "{\"date\":\"" + isoDate(Clock::system().nowNs()) + "\",\"action\":\"";
    out += toString(event.action);
    out += "\",\"user_id\":";
    if (event.user_id.empty()) {
      out += "null";
    } else {
      json::dumpString(out, event.user_id);
    }
    out += ",\"uri\":";
    json::dumpString(out, event.uri);
    out += ",\"resource_name\":\"" + event.resource->name + "\"";
    if (event.resource->name == "record") {
      out += ",\"collection_id\":";
      json::dumpString(out, event.collection_id);
    }
    out += ",\"" + event.resource->name + "_id\":";
    json::dumpString(out, event.object.id);
    out += ",\"target\":{\"data\":";
    renderObject(out, event.object);
    out += ",\"permissions\":";
    renderPermissions(out, permissions);
    out += "}}";
    return entry;
  }

  // Whoever could read the object, its collection or its bucket at that moment.
  static store::Permissions readersOf(const std::vector<store::Ace>& aces) {
    std::vector<std::string> readers;
    for (const store::Ace& ace : aces) {
      if ((ace.permission == "read" || ace.permission == "write") &&
          !contains(readers, ace.principal)) {
        readers.push_back(ace.principal);
      }
    }
    store::Permissions out;
    out.emplace_back("read", std::move(readers));
    return out;
  }

  Task<bool> trim(store::Session& session, Call& call, const Event& event, const store::Ref& list) {
    if (settings_.keep < 1) co_return true;
    if (!settings_.trimmed_users.empty() && !contains(settings_.trimmed_users, event.user_id))
      co_return true;
    store::Query query;
    query.filters.push_back(
        store::Filter{"resource_name", store::Op::kEq, json::Value(event.resource->name)});
    if (!settings_.trimmed_users.empty()) {
      query.filters.push_back(store::Filter{"user_id", store::Op::kEq, json::Value(event.user_id)});
    }
    Result<std::uint64_t> count = co_await session.count(list, query);
    if (!count.ok()) co_return failed(call, count.error());
    if (*count <=
        static_cast<std::uint64_t>(settings_.keep + std::max<std::int64_t>(settings_.slack, 0))) {
      co_return true;
    }
    Result<std::uint64_t> gone =
        co_await session.trimObjects(list, query, static_cast<std::uint64_t>(settings_.keep));
    if (!gone.ok()) co_return failed(call, gone.error());
    co_return true;
  }

  // Set once
  HistorySettings settings_;
  bool explicit_permissions_ = true;
};

}  // namespace

std::unique_ptr<Plugin> makeHistoryPlugin() { return std::make_unique<HistoryPlugin>(); }

}  // namespace godwit::kinto
