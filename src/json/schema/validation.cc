#include "json/schema/validation.h"

#include <cmath>

namespace godwit::json {
namespace {

// A schema can fan out exponentially over its $refs; these bounds make the cost of one validation
// finite whatever it says. An honest record takes a few thousand steps.
constexpr std::size_t kMaxSteps = 1'000'000;
constexpr std::size_t kMaxDepth = 400;
constexpr std::size_t kMaxViolations = 1000;

bool isInteger(const Value& v) {
  if (!v.isNumber()) return false;
  if (v.isInteger()) return true;
  double d = v.asDouble();
  return std::isfinite(d) && std::floor(d) == d;
}

}  // namespace

bool isType(const Value& v, std::string_view type) {
  switch (v.kind()) {
    case Kind::kNull:
      return type == "null";
    case Kind::kBool:
      return type == "boolean";
    case Kind::kString:
      return type == "string";
    case Kind::kArray:
      return type == "array";
    case Kind::kObject:
      return type == "object";
    case Kind::kNumber:
      return type == "number" || (type == "integer" && isInteger(v));
  }
  return false;
}

bool Validation::typeFits() const {
  const Value* expected = node_ ? node_->get("type") : nullptr;
  if (!expected) return false;
  if (expected->isString()) return isType(*instance_, expected->asString());
  if (!expected->isArray()) return false;
  for (const Value& t : expected->asArray()) {
    if (t.isString() && isType(*instance_, t.asString())) return true;
  }
  return false;
}

void Validation::report(std::string message) {
  if (found_.size() >= kMaxViolations) return;
  Violation v;
  v.message = std::move(message);
  v.path.assign(path_.begin() + static_cast<std::ptrdiff_t>(path_base_), path_.end());
  v.schema_path.assign(schema_path_.begin() + static_cast<std::ptrdiff_t>(schema_base_),
                       schema_path_.end());
  v.keyword = keyword_;
  v.keyword_value = keyword_value_;
  v.type_fits = typeFits();
  found_.push_back(std::move(v));
}

std::vector<Violation> Validation::branch(const Value& instance, const Value& node,
                                          bool first_only) {
  std::vector<Violation> outer = std::move(found_);
  found_.clear();
  bool first_before = std::exchange(first_only_, first_only);
  std::size_t path_before = std::exchange(path_base_, path_.size());
  std::size_t schema_before = std::exchange(schema_base_, schema_path_.size());
  check(instance, node);
  path_base_ = path_before;
  schema_base_ = schema_before;
  first_only_ = first_before;
  std::vector<Violation> inner = std::move(found_);
  found_ = std::move(outer);
  return inner;
}

void Validation::check(const Value& instance, const Value& node) {
  if (done()) return;
  if (++steps_ > kMaxSteps || depth_ > kMaxDepth) {
    exhausted_ = true;
    return;
  }
  if (node.isBool()) {
    if (!node.asBool()) {
      auto before = std::tuple(node_, keyword_, keyword_value_, instance_);
      node_ = &node;
      keyword_.clear();
      keyword_value_ = nullptr;
      instance_ = &instance;
      report("False schema does not allow " + pythonRepr(instance));
      std::tie(node_, keyword_, keyword_value_, instance_) = before;
    }
    return;
  }
  if (!node.isObject()) return;
  ++depth_;
  auto before = std::tuple(node_, keyword_, keyword_value_, instance_);
  const Value* ref = node.get("$ref");
  bool only_ref = ref && schema_.draft7;
  for (const auto& [key, value] : node.asObject()) {
    if (done()) break;
    if (only_ref && key != "$ref") continue;
    node_ = &node;
    keyword_ = key;
    keyword_value_ = &value;
    instance_ = &instance;
    apply(instance, node, key, value);
  }
  std::tie(node_, keyword_, keyword_value_, instance_) = before;
  --depth_;
}

void Validation::descend(const Value& instance, const Value& node, std::optional<PathStep> path,
                         std::optional<PathStep> schema_step) {
  if (path) path_.push_back(std::move(*path));
  bool pushed = path.has_value();
  bool schema_pushed = schema_step.has_value();
  if (schema_step) schema_path_.push_back(std::move(*schema_step));
  check(instance, node);
  if (schema_pushed) schema_path_.pop_back();
  if (pushed) path_.pop_back();
}

Result<std::vector<Violation>> Validation::run(const Value& instance) {
  check(instance, schema_.document);
  if (exhausted_) return Error(ErrorCode::kLimit, "schema is too complex to validate with");
  return std::move(found_);
}

void Validation::apply(const Value& i, const Value& node, const std::string& key,
                       const Value& value) {
  if (key == "$ref") {
    // As in python-jsonschema the reference itself is no step of the schema path.
    if (const Value* target = schema_.target(&node)) check(i, *target);
    return;
  }
  if (key == "if") {
    const Value* next = valid(i, value) ? node.get("then") : node.get("else");
    if (next) descend(i, *next, std::nullopt, PathStep(next == node.get("then") ? "then" : "else"));
    return;
  }
  Step step(schema_path_, key);
  if (key == "type") {
    bool good = false;
    std::string names;
    auto one = [&](const Value& t) {
      if (!names.empty()) names += ", ";
      names += pythonRepr(t);
      good = good || (t.isString() && isType(i, t.asString()));
    };
    if (value.isArray()) {
      for (const Value& t : value.asArray()) one(t);
    } else {
      one(value);
    }
    if (!good) report(pythonRepr(i) + " is not of type " + names);
  } else if (key == "enum") {
    bool good = !value.isArray();
    if (value.isArray()) {
      for (const Value& each : value.asArray()) good = good || each == i;
    }
    if (!good) report(pythonRepr(i) + " is not one of " + pythonRepr(value));
  } else if (key == "const") {
    if (!(i == value)) report(pythonRepr(value) + " was expected");
  } else if (key == "allOf" || key == "anyOf" || key == "oneOf" || key == "not") {
    combine(i, node, key, value);
  } else {
    switch (i.kind()) {
      case Kind::kNumber:
        return applyToNumber(i, node, key, value);
      case Kind::kString:
        return applyToString(i, key, value);
      case Kind::kArray:
        return applyToArray(i, node, key, value);
      case Kind::kObject:
        return applyToObject(i, node, key, value);
      default:
        return;
    }
  }
}

void Validation::combine(const Value& i, const Value&, const std::string& key, const Value& value) {
  if (key == "not") {
    if (valid(i, value)) report(pythonRepr(i) + " should not be valid under " + pythonRepr(value));
    return;
  }
  if (!value.isArray()) return;
  if (key == "allOf") {
    for (std::size_t k = 0; k < value.asArray().size(); ++k) {
      descend(i, value.asArray()[k], std::nullopt, PathStep(k));
    }
  } else if (key == "anyOf") {
    anyOf(i, value);
  } else {
    oneOf(i, value);
  }
}

void Validation::anyOf(const Value& i, const Value& value) {
  std::vector<Violation> context;
  for (std::size_t k = 0; k < value.asArray().size(); ++k) {
    std::vector<Violation> why = branch(i, value.asArray()[k], first_only_);
    if (exhausted_ || why.empty()) return;
    std::move(why.begin(), why.end(), std::back_inserter(context));
  }
  report(pythonRepr(i) + " is not valid under any of the given schemas");
  found_.back().context = std::move(context);
}

void Validation::oneOf(const Value& i, const Value& value) {
  const Array& schemas = value.asArray();
  std::vector<Violation> context;
  std::size_t k = 0;
  for (; k < schemas.size(); ++k) {
    std::vector<Violation> why = branch(i, schemas[k], first_only_);
    if (exhausted_) return;
    if (why.empty()) break;
    std::move(why.begin(), why.end(), std::back_inserter(context));
  }
  if (k == schemas.size()) {
    report(pythonRepr(i) + " is not valid under any of the given schemas");
    found_.back().context = std::move(context);
    return;
  }
  std::string reprs;
  for (std::size_t other = k + 1; other < schemas.size(); ++other) {
    if (valid(i, schemas[other])) reprs += pythonRepr(schemas[other]) + ", ";
  }
  if (!reprs.empty())
    report(pythonRepr(i) + " is valid under each of " + reprs + pythonRepr(schemas[k]));
}

Result<std::vector<Violation>> Schema::firstViolation(const Value& instance) const {
  return Validation(*impl_, true).run(instance);
}

Result<std::vector<Violation>> Schema::violations(const Value& instance) const {
  return Validation(*impl_, false).run(instance);
}

}  // namespace godwit::json
