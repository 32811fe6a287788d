#include "kinto/projection.h"

#include "base/text.h"

namespace godwit::kinto {

using json::Value;

std::vector<std::string> commaList(std::string_view text) {
  std::vector<std::string> out;
  for (std::string_view part : split(text, ',')) {
    if (!part.empty()) out.emplace_back(part);
  }
  return out;
}

std::vector<std::string> checkedFields(std::vector<std::string> fields, const Resource& resource,
                                       std::optional<Problem>& late) {
  if (fields.empty()) return fields;
  std::string unknown;
  for (const std::string& field : fields) {
    if (resource.knows(field)) continue;
    if (!unknown.empty()) unknown += ',';
    unknown += field.substr(0, field.find('.'));
  }
  if (!unknown.empty() && !late) {
    late.emplace("body", "Invalid _fields parameter", "Fields " + unknown + " do not exist");
  }
  fields.emplace_back("id");
  fields.emplace_back("last_modified");
  return fields;
}

std::vector<std::string> parseFields(const QueryPairs& pairs, const Resource& resource,
                                     std::optional<Problem>& late) {
  for (const auto& [name, text] : pairs) {
    if (name == "_fields") return checkedFields(commaList(text), resource, late);
  }
  return {};
}

const Value* findNested(const Value& object, std::string_view path) {
  if (const Value* direct = object.get(path)) return direct;
  // Keys may hold dots themselves: the longest beginning that is a key wins.
  for (auto dot = path.rfind('.'); dot != std::string_view::npos && dot > 0;
       dot = path.rfind('.', dot - 1)) {
    if (const Value* inner = object.get(path.substr(0, dot))) {
      return inner->isObject() ? findNested(*inner, path.substr(dot + 1)) : nullptr;
    }
  }
  return nullptr;
}

namespace {

Value merged(const Value& a, const Value& b) {
  if (!a.isObject() || !b.isObject()) return a;
  Value out = b;
  for (const auto& [key, value] : a.asObject()) {
    const Value* other = out.get(key);
    out.asObject().set(key, other ? merged(value, *other) : value);
  }
  return out;
}

}  // namespace

Value project(const Value& object, const std::vector<std::string>& fields) {
  Value out = Value::object();
  for (const std::string& field : fields) {
    auto dot = field.find('.');
    std::string root = field.substr(0, dot);
    const Value* value = object.get(root);
    if (dot == std::string::npos || (value && !value->isObject())) {
      if (value) out.asObject().set(root, *value);
    } else if (value) {
      Value inner = project(*value, {field.substr(dot + 1)});
      const Value* before = out.get(root);
      out.asObject().set(root, before ? merged(inner, *before) : inner);
    }
  }
  return out;
}

}  // namespace godwit::kinto
