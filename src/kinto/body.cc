#include "kinto/body.h"

#include <algorithm>

#include "base/text.h"
#include "json/text.h"
#include "kinto/text.h"

namespace godwit::kinto {
namespace {

using json::Value;

constexpr store::Timestamp kMaxTimestamp = (std::int64_t{1} << 53) - 1;
constexpr std::size_t kMaxPrincipals = 10'000;  // of one permission in one request
constexpr std::string_view kNoMapping =
    " is not a mapping type: Does not implement dict-like "
    "functionality.";

Value documentOf(std::string_view valid) {
  auto parsed = json::parse(valid);
  return parsed ? std::move(*parsed) : Value();
}

std::string notMapping(const Value& v) {
  return "\"" + pythonText(v) + "\"" + std::string(kNoMapping);
}

std::string join(const std::vector<std::string>& parts) {
  std::string out;
  for (const std::string& part : parts) {
    if (!out.empty()) out += ", ";
    out += part;
  }
  return out;
}

// A list of non-empty strings; problems are named "<name>.<index>".
bool readStrings(const Value& value, const std::string& name, std::string_view node,
                 std::vector<std::string>& out, std::vector<Problem>& problems) {
  if (!value.isArray()) {
    problems.emplace_back("body", name, "\"" + pythonText(value) + "\" is not iterable");
    return false;
  }
  std::size_t index = 0;
  bool ok = true;
  for (const Value& item : value.asArray()) {
    std::string item_name = name + "." + std::to_string(index++);
    bool falsy = item.isNull() || (item.isString() && item.asString().empty()) ||
                 (item.isBool() && !item.asBool()) || (item.isNumber() && item == Value(0));
    if (falsy) {
      problems.emplace_back("body", std::move(item_name), "Required");
      ok = false;
    } else if (!item.isString()) {
      problems.emplace_back(
          "body", std::move(item_name),
          pythonText(item) + " is not a string: {'" + std::string(node) + "': ''}");
      ok = false;
    } else {
      out.push_back(item.asString());
    }
  }
  return ok;
}

bool isEmptyValue(const Value& v) {
  return v.isNull() || (v.isString() && v.asString().empty()) ||
         (v.isArray() && v.asArray().empty()) || (v.isObject() && v.asObject().empty());
}

// Checks one field; returns the value to store when it differs from the one given.
std::optional<Value> checkField(const FieldRule& rule, const Value& value, const std::string& name,
                                std::vector<Problem>& problems) {
  switch (rule.kind) {
    case FieldRule::Kind::kMapping:
      if (!value.isObject()) {
        problems.emplace_back("body", name, notMapping(value));
        return std::nullopt;
      }
      break;
    case FieldRule::Kind::kInteger: {
      std::optional<std::int64_t> n = value.toInt();
      if (!n && value.isNumber() && value.asDouble() > -9e15 && value.asDouble() < 9e15) {
        n = static_cast<std::int64_t>(value.asDouble());
      }
      if (!n && value.isBool()) n = value.asBool() ? 1 : 0;
      if (!n && value.isString()) n = toInt(trim(value.asString()));
      if (!n) {
        problems.emplace_back("body", name, "\"" + pythonText(value) + "\" is not a number");
        return std::nullopt;
      }
      if (value.toInt()) return std::nullopt;
      return Value(*n);
    }
    case FieldRule::Kind::kStrings: {
      std::vector<std::string> items;
      if (!readStrings(value, name, "", items, problems)) return std::nullopt;
      if (rule.check_item) {
        for (std::size_t i = 0; i < items.size(); ++i) {
          if (auto problem = rule.check_item(items[i])) {
            problems.emplace_back("body", name + "." + std::to_string(i), *problem);
          }
        }
      }
      break;
    }
    case FieldRule::Kind::kString:
      if (!value.isString()) {
        problems.emplace_back("body", name,
                              pythonText(value) + " is not a string: {'" + rule.name + "': ''}");
        return std::nullopt;
      }
      if (value.asString().empty()) {
        problems.emplace_back("body", name, "Required");
        return std::nullopt;
      }
      break;
  }
  if (rule.check) {
    if (auto problem = rule.check(value)) problems.emplace_back("body", name, *problem);
  }
  return std::nullopt;
}

class BodyParser {
 public:
  BodyParser(BodyKind kind, const Resource& resource, std::vector<Problem>& problems)
      : kind_(kind), resource_(resource), problems_(problems) {}

  Body parse(std::string_view text);

 private:
  void readData(std::string_view raw);
  void readPermissions(std::string_view raw);
  void readOperations(std::string_view text);

  const BodyKind kind_;
  const Resource& resource_;
  std::vector<Problem>& problems_;
  Body body_;
};

void BodyParser::readData(std::string_view raw) {
  body_.has_data = true;
  if (raw.front() != '{') {
    problems_.emplace_back("body", "data", notMapping(documentOf(raw)));
    return;
  }
  if (kind_ == BodyKind::kPatch || kind_ == BodyKind::kMergePatch) {
    body_.patch_data = documentOf(raw);
    return;
  }
  std::string canonical;
  canonical.reserve(raw.size());
  json::canonicalTo(canonical, raw);
  std::string& out = body_.data;
  out.reserve(canonical.size() + 16);
  out.assign("{");
  std::uint64_t seen = 0;  // bit per field rule
  auto append = [&out](std::string_view key, std::string_view value) {
    if (out.size() > 1) out += ',';
    out.append(key).append(":").append(value);
  };
  forEachMember(canonical, [&](std::string_view key, std::string_view value) {
    if (key == "\"id\"") {
      body_.id = documentOf(value);
      return;
    }
    if (key == "\"last_modified\"") {
      Value v = documentOf(value);
      body_.last_modified = timestampField(&v);
      return;
    }
    std::string_view name = key.substr(1, key.size() - 2);
    for (std::size_t i = 0; i < resource_.fields.size(); ++i) {
      const FieldRule& rule = resource_.fields[i];
      if (rule.name != name) continue;
      Value given = documentOf(value);
      if (rule.kind == FieldRule::Kind::kInteger && isEmptyValue(given)) return;  // as not given
      seen |= std::uint64_t{1} << i;
      auto changed = checkField(rule, given, "data." + rule.name, problems_);
      if (changed) {
        append(key, json::dump(*changed));
        return;
      }
    }
    append(key, value);
  });
  for (std::size_t i = 0; i < resource_.fields.size(); ++i) {
    const FieldRule& rule = resource_.fields[i];
    if (seen & (std::uint64_t{1} << i)) continue;
    if (rule.required) problems_.emplace_back("body", "data." + rule.name, "Required");
    if (rule.defaults_to_empty_list) append("\"" + rule.name + "\"", "[]");
  }
  out += '}';
}

void BodyParser::readPermissions(std::string_view raw) {
  body_.has_permissions = true;
  Value document = documentOf(raw);
  if (!document.isObject()) {
    problems_.emplace_back("body", "permissions", notMapping(document));
    return;
  }
  for (const auto& [name, principals] : document.asObject()) {
    if (principals.isNull()) continue;
    const auto& known = resource_.permissions;
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      problems_.emplace_back("body", "permissions",
                             "\"" + name + "\" is not one of " + join(known));
      return;
    }
  }
  for (const auto& [name, principals] : document.asObject()) {
    if (principals.isNull()) {
      body_.removed_permissions.push_back(name);
      continue;
    }
    std::vector<std::string> list;
    if (!readStrings(principals, "permissions." + name, "", list, problems_)) continue;
    if (list.size() > kMaxPrincipals) {
      problems_.emplace_back("body", "permissions." + name, "Too many principals");
      continue;
    }
    std::sort(list.begin(), list.end());
    list.erase(std::unique(list.begin(), list.end()), list.end());
    body_.permissions.emplace_back(name, std::move(list));
  }
}

void BodyParser::readOperations(std::string_view text) {
  auto parsed = json::parse(text);
  if (!parsed) {
    problems_.emplace_back("body", "", "Invalid JSON: " + parsed.error().message);
    problems_.emplace_back("body", "", "Required");
    return;
  }
  if (!parsed->isArray()) {
    problems_.emplace_back("body", "", "\"" + pythonText(*parsed) + "\" is not iterable");
    return;
  }
  std::size_t index = 0;
  for (const Value& op : parsed->asArray()) {
    std::string at = std::to_string(index++);
    if (!op.isObject()) {
      problems_.emplace_back("body", at, notMapping(op));
      continue;
    }
    Value unknown = Value::object();
    for (const auto& [key, value] : op.asObject()) {
      if (key != "op" && key != "path" && key != "from" && key != "value") {
        unknown.asObject().set(key, value);
      }
    }
    if (!unknown.asObject().empty()) {
      problems_.emplace_back("body", at,
                             "Unrecognized keys in mapping: \"" + pythonRepr(unknown) + "\"");
      continue;
    }
    for (const char* key : {"op", "path", "from"}) {
      const Value* value = op.get(key);
      std::string name = at + "." + key;
      if (!value || (value->isString() && value->asString().empty())) {
        if (std::string_view(key) != "from") problems_.emplace_back("body", name, "Required");
        continue;
      }
      if (!value->isString()) {
        problems_.emplace_back("body", name,
                               pythonText(*value) + " is not a string: {'" + key + "': ''}");
        continue;
      }
      if (std::string_view(key) != "op") {
        if (value->asString().front() != '/') {
          problems_.emplace_back("body", name, "String does not match expected pattern");
        }
        continue;
      }
      static const std::vector<std::string> kOps = {"test",    "add",  "remove",
                                                    "replace", "move", "copy"};
      if (std::find(kOps.begin(), kOps.end(), value->asString()) == kOps.end()) {
        problems_.emplace_back("body", name,
                               "\"" + value->asString() + "\" is not one of " + join(kOps));
      }
    }
  }
  body_.operations = std::move(*parsed);
}

Body BodyParser::parse(std::string_view text) {
  bool required = std::any_of(resource_.fields.begin(), resource_.fields.end(),
                              [](const FieldRule& rule) { return rule.required; });
  if (kind_ == BodyKind::kPatch || kind_ == BodyKind::kMergePatch) required = false;
  if (kind_ == BodyKind::kJsonPatch) {
    readOperations(text.empty() ? "{}" : text);
    return std::move(body_);
  }
  if (text.empty()) {
    if (required) problems_.emplace_back("body", "data", "Required");
    return std::move(body_);
  }
  auto members = json::sliceObject(text);
  if (!members) {
    auto parsed = json::parse(text);
    if (parsed && parsed->isArray()) {
      problems_.emplace_back("body", "", notMapping(*parsed));
    } else if (parsed) {
      problems_.emplace_back("body", "", "Should be a JSON object or an array");
      problems_.emplace_back("body", "", "Required");
    } else {
      problems_.emplace_back("body", "", "Invalid JSON: " + parsed.error().message);
      problems_.emplace_back("body", "", "Required");
    }
    return std::move(body_);
  }
  std::size_t before = problems_.size();
  Value unknown = Value::object();
  for (const json::Slice& member : *members) {
    if (member.key == "data") {
      readData(member.value);
    } else if (member.key == "permissions") {
      readPermissions(member.value);
    } else {
      unknown.asObject().set(member.key, documentOf(member.value));
    }
  }
  if (!unknown.asObject().empty()) {
    // Keys nobody knows come before anything else that is wrong.
    problems_.erase(problems_.begin() + static_cast<std::ptrdiff_t>(before), problems_.end());
    problems_.emplace_back("body", "",
                           "Unrecognized keys in mapping: \"" + pythonRepr(unknown) + "\"");
    return std::move(body_);
  }
  if (required && !body_.has_data) problems_.emplace_back("body", "data", "Required");
  return std::move(body_);
}

}  // namespace

store::Timestamp timestampField(const Value* value) {
  if (!value) return 0;
  auto n = value->toInt();
  return n && *n > 0 && *n <= kMaxTimestamp ? *n : 0;
}

void checkFields(Value& data, const Resource& resource, const std::string& prefix,
                 std::vector<Problem>& problems) {
  for (const FieldRule& rule : resource.fields) {
    const Value* value = data.get(rule.name);
    if (value && rule.kind == FieldRule::Kind::kInteger && isEmptyValue(*value)) {
      data.asObject().erase(rule.name);
      continue;
    }
    if (!value) {
      if (rule.required) problems.emplace_back("body", prefix + rule.name, "Required");
      if (rule.defaults_to_empty_list) data.asObject().set(rule.name, Value::array());
      continue;
    }
    if (auto changed = checkField(rule, *value, prefix + rule.name, problems)) {
      data.asObject().set(rule.name, std::move(*changed));
    }
  }
}

bool checkJson(std::string_view text, std::vector<Problem>& problems) {
  auto parsed = json::parse(text);
  if (!parsed) {
    problems.emplace_back("body", "", "Invalid JSON: " + parsed.error().message);
    return false;
  }
  if (!parsed->isObject() && !parsed->isArray()) {
    problems.emplace_back("body", "", "Should be a JSON object or an array");
    return false;
  }
  return true;
}

Body parseBody(std::string_view text, BodyKind kind, const Resource& resource,
               std::vector<Problem>& problems) {
  BodyParser parser(kind, resource, problems);
  return parser.parse(text);
}

}  // namespace godwit::kinto
