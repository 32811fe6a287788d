#include <algorithm>
#include <cmath>

#include "json/schema/validation.h"

namespace godwit::json {
namespace {

std::size_t codePoints(std::string_view s) {
  return static_cast<std::size_t>(std::count_if(
      s.begin(), s.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

bool isMultiple(const Value& v, const Value& of) {
  auto a = v.toInt();
  auto b = of.toInt();
  if (a && b) return *b == 0 || *a % *b == 0;
  double q = v.asDouble() / of.asDouble();
  if (!std::isfinite(q)) return std::fmod(v.asDouble(), of.asDouble()) == 0;
  return std::trunc(q) == q;
}

bool hasDuplicates(const Array& array) {
  std::vector<const Value*> sorted;
  sorted.reserve(array.size());
  for (const Value& v : array) sorted.push_back(&v);
  std::sort(sorted.begin(), sorted.end(),
            [](const Value* a, const Value* b) { return compare(*a, *b) < 0; });
  return std::adjacent_find(sorted.begin(), sorted.end(), [](const Value* a, const Value* b) {
           return compare(*a, *b) == 0;
         }) != sorted.end();
}

// How many items or characters a limit keyword allows; nothing when it is no number.
std::optional<double> bound(const Value& v) {
  return v.isNumber() ? std::optional<double>(v.asDouble()) : std::nullopt;
}

std::string extras(const std::vector<std::string>& reprs) {
  std::string out;
  for (const std::string& r : reprs) {
    if (!out.empty()) out += ", ";
    out += r;
  }
  return out + (reprs.size() == 1 ? " was unexpected)" : " were unexpected)");
}

}  // namespace

void Validation::applyToNumber(const Value& i, const Value& node, const std::string& key,
                               const Value& value) {
  if (!value.isNumber()) return;
  auto strict = [&](const char* name) {  // draft-04's boolean form
    const Value* flag = node.get(name);
    return flag && flag->isBool() && flag->asBool();
  };
  int order = compare(i, value);
  if (key == "minimum") {
    if (order < 0) report(pythonRepr(i) + " is less than the minimum of " + pythonRepr(value));
    if (order == 0 && strict("exclusiveMinimum"))
      report(pythonRepr(i) + " is less than or equal to the minimum of " + pythonRepr(value));
  } else if (key == "maximum") {
    if (order > 0) report(pythonRepr(i) + " is greater than the maximum of " + pythonRepr(value));
    if (order == 0 && strict("exclusiveMaximum"))
      report(pythonRepr(i) + " is greater than or equal to the maximum of " + pythonRepr(value));
  } else if (key == "exclusiveMinimum") {
    if (order <= 0)
      report(pythonRepr(i) + " is less than or equal to the minimum of " + pythonRepr(value));
  } else if (key == "exclusiveMaximum") {
    if (order >= 0)
      report(pythonRepr(i) + " is greater than or equal to the maximum of " + pythonRepr(value));
  } else if (key == "multipleOf") {
    if (!isMultiple(i, value)) report(pythonRepr(i) + " is not a multiple of " + pythonRepr(value));
  }
}

void Validation::applyToString(const Value& i, const std::string& key, const Value& value) {
  if (key == "minLength" || key == "maxLength") {
    auto limit = bound(value);
    if (!limit) return;
    auto n = static_cast<double>(codePoints(i.asString()));
    if (key == "minLength" && n < *limit)
      report(pythonRepr(i) + (*limit == 1 ? " should be non-empty" : " is too short"));
    if (key == "maxLength" && n > *limit)
      report(pythonRepr(i) + (*limit == 0 ? " is expected to be empty" : " is too long"));
  } else if (key == "pattern") {
    const Pattern* pattern = schema_.pattern(&value);
    if (pattern && !pattern->search(i.asString()))
      report(pythonRepr(i) + " does not match " + pythonRepr(value));
  }
}

void Validation::applyToArray(const Value& i, const Value& node, const std::string& key,
                              const Value& value) {
  const Array& array = i.asArray();
  if (key == "minItems" || key == "maxItems") {
    auto limit = bound(value);
    if (!limit) return;
    auto n = static_cast<double>(array.size());
    if (key == "minItems" && n < *limit)
      report(pythonRepr(i) + (*limit == 1 ? " should be non-empty" : " is too short"));
    if (key == "maxItems" && n > *limit)
      report(pythonRepr(i) + (*limit == 0 ? " is expected to be empty" : " is too long"));
  } else if (key == "uniqueItems") {
    if (value.isBool() && value.asBool() && hasDuplicates(array))
      report(pythonRepr(i) + " has non-unique elements");
  } else if (key == "items" || key == "prefixItems") {
    if (value.isArray()) {
      if (key == "prefixItems" && schema_.draft7) return;
      for (std::size_t k = 0; k < std::min(array.size(), value.asArray().size()); ++k) {
        descend(array[k], value.asArray()[k], PathStep(k), PathStep(k));
      }
      return;
    }
    if (key == "prefixItems") return;
    const Value* prefix = schema_.draft7 ? nullptr : node.get("prefixItems");
    std::size_t from = prefix && prefix->isArray() ? prefix->asArray().size() : 0;
    for (std::size_t k = from; k < array.size() && !done(); ++k)
      descend(array[k], value, PathStep(k), std::nullopt);
  } else if (key == "additionalItems") {
    const Value* items = node.get("items");
    if (!items || !items->isArray()) return;
    std::size_t from = items->asArray().size();
    if (value.isObject()) {
      for (std::size_t k = from; k < array.size() && !done(); ++k)
        descend(array[k], value, PathStep(k), std::nullopt);
    } else if (value.isBool() && !value.asBool() && array.size() > from) {
      std::vector<std::string> reprs;
      for (std::size_t k = from; k < array.size(); ++k) reprs.push_back(pythonRepr(array[k]));
      report("Additional items are not allowed (" + extras(reprs));
    }
  } else if (key == "contains") {
    contains(i, node, value);
  }
}

void Validation::contains(const Value& i, const Value& node, const Value& value) {
  double least = 1;
  double most = static_cast<double>(i.asArray().size());
  if (!schema_.draft7) {
    if (const Value* v = node.get("minContains"); v && v->isNumber()) least = v->asDouble();
    if (const Value* v = node.get("maxContains"); v && v->isNumber()) most = v->asDouble();
  }
  double matches = 0;
  for (const Value& each : i.asArray()) {
    if (exhausted_) return;
    if (valid(each, value)) ++matches;
    if (schema_.draft7 && matches > 0) return;
  }
  if (matches > most) {
    report("Too many items match the given schema (expected at most " +
           pythonRepr(*node.get("maxContains")) + ")");
  } else if (matches == 0 && least > 0) {
    report(schema_.draft7 ? "None of " + pythonRepr(i) + " are valid under the given schema"
                          : pythonRepr(i) + " does not contain items matching the given schema");
  } else if (matches < least) {
    report("Too few items match the given schema (expected at least " +
           pythonRepr(*node.get("minContains")) + " but only " +
           std::to_string(static_cast<std::size_t>(matches)) + " matched)");
  }
}

void Validation::applyToObject(const Value& i, const Value& node, const std::string& key,
                               const Value& value) {
  const Object& object = i.asObject();
  if (key == "properties") {
    if (!value.isObject()) return;
    for (const auto& [name, subschema] : value.asObject()) {
      if (done()) return;
      if (const Value* member = object.find(name))
        descend(*member, subschema, PathStep(name), PathStep(name));
    }
  } else if (key == "required") {
    if (!value.isArray()) return;
    for (const Value& name : value.asArray()) {
      if (done()) return;
      if (name.isString() && !object.find(name.asString()))
        report(pythonRepr(name) + " is a required property");
    }
  } else if (key == "additionalProperties") {
    additionalProperties(i, node, value);
  } else if (key == "patternProperties") {
    if (!value.isObject()) return;
    for (const auto& [source, subschema] : value.asObject()) {
      const Pattern* pattern = schema_.pattern(&subschema);
      for (const auto& [name, member] : object) {
        if (done()) return;
        if (pattern && pattern->search(name))
          descend(member, subschema, PathStep(name), PathStep(source));
      }
    }
  } else if (key == "propertyNames") {
    for (const auto& member : object) {
      if (done()) return;
      Value name(member.first);
      check(name, value);
    }
  } else if (key == "minProperties" || key == "maxProperties") {
    auto limit = bound(value);
    if (!limit) return;
    auto n = static_cast<double>(object.size());
    if (key == "minProperties" && n < *limit)
      report(pythonRepr(i) +
             (*limit == 1 ? " should be non-empty" : " does not have enough properties"));
    if (key == "maxProperties" && n > *limit)
      report(pythonRepr(i) +
             (*limit == 0 ? " is expected to be empty" : " has too many properties"));
  } else if (key == "dependencies" || key == "dependentRequired" || key == "dependentSchemas") {
    dependencies(i, value);
  }
}

void Validation::additionalProperties(const Value& i, const Value& node, const Value& value) {
  const Value* properties = node.get("properties");
  const Value* patterns = node.get("patternProperties");
  std::vector<const Object::Member*> extra;
  for (const auto& member : i.asObject()) {
    if (properties && properties->get(member.first)) continue;
    bool matched = false;
    if (patterns && patterns->isObject()) {
      for (const auto& each : patterns->asObject()) {
        const Pattern* pattern = schema_.pattern(&each.second);
        matched = matched || (pattern && pattern->search(member.first));
      }
    }
    if (!matched) extra.push_back(&member);
  }
  if (value.isObject()) {
    for (const Object::Member* m : extra) {
      if (done()) return;
      descend(m->second, value, PathStep(m->first), std::nullopt);
    }
    return;
  }
  if (extra.empty() || !value.isBool() || value.asBool()) return;
  std::vector<std::string> reprs;
  for (const Object::Member* m : extra) reprs.push_back(pythonRepr(Value(m->first)));
  std::sort(reprs.begin(), reprs.end());
  if (!patterns || !patterns->isObject()) {
    report("Additional properties are not allowed (" + extras(reprs));
    return;
  }
  std::string names, sources;
  for (const std::string& r : reprs) names += (names.empty() ? "" : ", ") + r;
  std::vector<std::string> sorted;
  for (const auto& each : patterns->asObject()) sorted.push_back(pythonRepr(Value(each.first)));
  std::sort(sorted.begin(), sorted.end());
  for (const std::string& r : sorted) sources += (sources.empty() ? "" : ", ") + r;
  report(names + (extra.size() == 1 ? " does" : " do") +
         " not match any of the regexes: " + sources);
}

void Validation::dependencies(const Value& i, const Value& value) {
  if (!value.isObject()) return;
  const Object& object = i.asObject();
  for (const auto& [name, needs] : value.asObject()) {
    if (done()) return;
    if (!object.find(name)) continue;
    if (needs.isArray()) {
      for (const Value& each : needs.asArray()) {
        if (each.isString() && !object.find(each.asString()))
          report(pythonRepr(each) + " is a dependency of " + pythonRepr(Value(name)));
      }
    } else {
      descend(i, needs, std::nullopt, PathStep(name));
    }
  }
}

}  // namespace godwit::json
