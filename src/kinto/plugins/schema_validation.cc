#include "kinto/plugins/schema_validation.h"

#include "json/text.h"
#include "kinto/answer.h"
#include "kinto/app.h"
#include "kinto/plugins/schema_cache.h"
#include "store/session.h"

namespace godwit::kinto {
namespace {

// Which field a violation is about, as Kinto names it: where it is, else what the keyword asked for
// last, else the keyword.
std::string fieldOf(const json::Violation& v) {
  auto text = [](const json::PathStep& step) {
    return std::holds_alternative<std::string>(step) ? std::get<std::string>(step)
                                                     : std::to_string(std::get<std::size_t>(step));
  };
  if (!v.path.empty()) return text(v.path.back());
  const json::Value* asked = v.keyword_value;
  if (asked && asked->isArray() && !asked->asArray().empty()) {
    const json::Value& last = asked->asArray().back();
    if (last.isString()) return last.asString();
  }
  if (asked && asked->isString() && !asked->asString().empty())
    return std::string(1, asked->asString().back());
  return v.schema_path.empty() ? "schema" : text(v.schema_path.back());
}

void refuse(Call& call, std::string field, std::string why) {
  setInvalid(call.answer, {Problem("body", std::move(field), std::move(why))});
}

class SchemaPlugin final : public Plugin {
 public:
  [[nodiscard]] std::string name() const override { return "schema"; }
  [[nodiscard]] unsigned hooks() const override { return kBeforeWrite; }

  Result<void> setUp(Setup& setup) override {
    setup.addCapability(
        "schema",
        R"({"description":"Validates collection records with JSON schemas.",)"
        R"("url":"https://kinto.readthedocs.io/en/latest/api/1.x/collections.html#collection-json-schema"})");
    return {};
  }

  Task<bool> beforeWrite(store::Session& session, Call& call, Draft& draft) override {
    const std::string& resource = draft.resource->name;
    if (draft.action == Action::kDelete) co_return true;
    if (resource != "record" && resource != "collection" && resource != "group") co_return true;
    Result<json::Value> parsed = json::parse(draft.object.data);
    if (!parsed.ok()) co_return true;  // cannot be: the store holds canonical text
    json::Value data = std::move(*parsed);
    data.asObject().set("id", json::Value(draft.object.id));

    if (resource == "record") {
      store::Ref collections{"collection", "/buckets/" + std::string(call.params.get("bucket_id"))};
      Result<store::Object> collection =
          co_await session.get(collections, call.params.get("collection_id"));
      if (!collection.ok()) {
        call.app().storageFailed(call, collection.error());
        co_return false;
      }
      if (auto schema = json::findPath(collection->data, "schema")) {
        if (!check(call, *schema, data)) co_return false;
        data.asObject().set("schema", json::Value(collection->last_modified));
        store(draft, data);
      }
    }
    store::Ref buckets{"bucket", ""};
    Result<store::Object> bucket = co_await session.get(buckets, call.params.get("bucket_id"));
    if (!bucket.ok()) {
      if (bucket.error().code == ErrorCode::kNotFound) co_return true;
      call.app().storageFailed(call, bucket.error());
      co_return false;
    }
    if (auto schema = json::findPath(bucket->data, resource + ":schema")) {
      if (!check(call, *schema, data)) co_return false;
    }
    co_return true;
  }

 private:
  static void store(Draft& draft, const json::Value& data) {
    json::Value kept = data;
    kept.asObject().erase("id");
    draft.object.data = json::dump(kept);
  }

  bool check(Call& call, std::string_view schema_text, const json::Value& data) {
    // The schema may describe the id; else the id is none of its business.
    auto properties = json::findPath(schema_text, "properties");
    bool id_is_ours = !properties || !json::findPath(*properties, "id");
    auto schema = cache_.get(schema_text, id_is_ours);
    if (!schema.ok()) {
      refuse(call, "schema", schema.error().message);
      return false;
    }
    json::Value visible = data;
    visible.asObject().erase("last_modified");
    visible.asObject().erase("schema");
    if (id_is_ours) visible.asObject().erase("id");
    auto found = (*schema)->firstViolation(visible);
    if (!found.ok()) {
      refuse(call, "schema", found.error().message);
      return false;
    }
    if (found->empty()) return true;
    refuse(call, fieldOf(found->front()), found->front().message);
    return false;
  }

  SchemaCache cache_;
};

}  // namespace

std::unique_ptr<Plugin> makeSchemaPlugin() { return std::make_unique<SchemaPlugin>(); }

}  // namespace godwit::kinto
