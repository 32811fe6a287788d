#include "ops/row_text.h"

#include <algorithm>
#include <charconv>

#include "base/options.h"
#include "json/text.h"
#include "kinto/render.h"

namespace godwit::ops {
namespace {

constexpr int kFormat = 1;
// As deep as a store may hold it, and one more for the line itself.
constexpr std::size_t kMaxDepth = 1024;

Error notOurs(const std::string& why) { return Error(ErrorCode::kInvalid, why); }

std::optional<std::string> textOf(std::string_view raw) {
  auto v = json::parse(raw);
  if (!v.ok() || !v->isString()) return std::nullopt;
  return v->asString();
}

Result<Line> readRow(const std::vector<json::Slice>& members, bool with_data) {
  Line line;
  store::Object& o = line.row.object;
  bool stamped = false;
  bool data = false;
  for (const json::Slice& m : members) {
    if (m.key == "id") {
      auto id = textOf(m.value);
      if (id) o.id = std::move(*id);
    } else if (m.key == "last_modified") {
      auto t = parseInt(m.value);
      stamped = t.has_value() && *t > 0;
      o.last_modified = t.value_or(0);
    } else if (m.key == "deleted") {
      o.deleted = m.value == "true";
    } else if (m.key == "data") {
      data = m.value.starts_with('{');
      if (!with_data || !data) continue;
      o.data.clear();
      json::canonicalTo(o.data, m.value);
    } else if (m.key == "permissions") {
      auto v = json::parse(m.value);
      if (!v.ok() || !readPermissions(*v, line.row.permissions)) return notOurs("bad permissions");
    }
  }
  if (o.id.empty() || !stamped) return notOurs("an object without id or last_modified");
  if (data == o.deleted) return notOurs("an object without data");
  return line;
}

Result<Line> readList(std::string_view raw) {
  auto v = json::parse(raw);
  const json::Value* resource = v.ok() ? v->get("resource") : nullptr;
  const json::Value* parent = v.ok() ? v->get("parent") : nullptr;
  if (!resource || !resource->isString() || !parent || !parent->isString()) {
    return notOurs("a list without resource or parent");
  }
  Line line;
  line.kind = Line::Kind::kList;
  line.list.ref.resource = resource->asString();
  line.list.ref.parent = parent->asString();
  return line;
}

std::int64_t number(const json::Value& v, std::string_view key) {
  const json::Value* n = v.get(key);
  return n ? n->toInt().value_or(-1) : -1;
}

Result<Line> readEnd(std::string_view raw, Line::Kind kind) {
  auto v = json::parse(raw);
  if (!v.ok() || number(*v, "rows") < 0) return notOurs("an end without its number of rows");
  Line line;
  line.kind = kind;
  line.rows = static_cast<std::uint64_t>(number(*v, "rows"));
  if (kind == Line::Kind::kFinish) return line;
  line.list.timestamp = std::max<std::int64_t>(number(*v, "timestamp"), 0);
  const json::Value* crc = v->get("crc32c");
  if (!crc || !crc->isString()) return notOurs("an end without its checksum");
  const std::string& hex = crc->asString();
  auto read = std::from_chars(hex.data(), hex.data() + hex.size(), line.crc, 16);
  if (read.ptr != hex.data() + hex.size()) return notOurs("an end without its checksum");
  return line;
}

Result<Line> readHeader(const std::vector<json::Slice>& members) {
  Line line;
  line.kind = Line::Kind::kHeader;
  std::optional<std::int64_t> version;
  for (const json::Slice& m : members) {
    if (m.key == "version") version = parseInt(m.value);
    if (m.key == "from") line.from = textOf(m.value).value_or("");
    if (m.key == "permissions") line.permissions = m.value == "true";
  }
  if (version != kFormat) {
    return Error(ErrorCode::kUnsupported, "a version of the format this program does not know");
  }
  return line;
}

}  // namespace

bool readPermissions(const json::Value& from, store::Permissions& out) {
  if (!from.isObject()) return false;
  for (const auto& [permission, principals] : from.asObject()) {
    if (!principals.isArray()) return false;
    auto& entry = out.emplace_back(permission, std::vector<std::string>());
    for (const json::Value& p : principals.asArray()) {
      if (!p.isString()) return false;
      entry.second.push_back(p.asString());
    }
  }
  sortPermissions(out);
  return true;
}

void sortPermissions(store::Permissions& permissions) {
  std::erase_if(permissions, [](const auto& p) { return p.second.empty(); });
  for (auto& [permission, principals] : permissions) {
    std::sort(principals.begin(), principals.end());
    principals.erase(std::unique(principals.begin(), principals.end()), principals.end());
  }
  std::sort(permissions.begin(), permissions.end());
}

void appendRow(std::string& out, const Row& row) {
  const store::Object& o = row.object;
  out += "{\"id\":";
  json::dumpString(out, o.id);
  out += ",\"last_modified\":";
  out += std::to_string(o.last_modified);
  if (o.deleted) {
    out += ",\"deleted\":true}";
    return;
  }
  out += ",\"data\":";
  out += o.data;
  if (!row.permissions.empty()) {
    out += ",\"permissions\":";
    kinto::renderPermissions(out, row.permissions);
  }
  out += '}';
}

void appendListLine(std::string& out, const List& list) {
  out += "{\"list\":{\"resource\":";
  json::dumpString(out, list.ref.resource);
  out += ",\"parent\":";
  json::dumpString(out, list.ref.parent);
  out += "}}";
}

Result<Line> parseLine(std::string_view text, bool with_data) {
  auto members = json::sliceObject(text, json::Limits(kMaxDepth));
  if (!members.ok()) return std::move(members).error();
  if (members->empty()) return notOurs("an empty object");
  const json::Slice& first = members->front();
  if (first.key == "godwit") return readHeader(*members);
  if (first.key == "list") return readList(first.value);
  if (first.key == "end") return readEnd(first.value, Line::Kind::kEnd);
  if (first.key == "finish") return readEnd(first.value, Line::Kind::kFinish);
  return readRow(*members, with_data);
}

}  // namespace godwit::ops
