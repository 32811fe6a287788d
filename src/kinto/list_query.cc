#include "kinto/list_query.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "kinto/page_token.h"
#include "kinto/projection.h"
#include "kinto/query_value.h"
#include "kinto/text.h"

namespace godwit::kinto {
namespace {

using json::Value;
using store::Filter;
using store::Op;

constexpr std::string_view kMaxInteger = "9223372036854775808";  // 2^63
// What one request may ask the store to look at for each object.
constexpr std::size_t kMaxFilters = 100;
constexpr std::size_t kMaxSorts = 20;

struct Keyword {
  std::string_view prefix;
  Op op;
};
// "contains_any_" before "contains_": the longer wins.
constexpr std::array<Keyword, 12> kKeywords = {{{"lt_", Op::kLt},
                                                {"min_", Op::kMin},
                                                {"max_", Op::kMax},
                                                {"not_", Op::kNot},
                                                {"eq_", Op::kEq},
                                                {"gt_", Op::kGt},
                                                {"in_", Op::kIn},
                                                {"exclude_", Op::kExclude},
                                                {"like_", Op::kLike},
                                                {"has_", Op::kHas},
                                                {"contains_any_", Op::kContainsAny},
                                                {"contains_", Op::kContains}}};

// Letters, digits, '_' and '.', and any non-ASCII character.
bool isFieldName(std::string_view s) {
  return !s.empty() && std::all_of(s.begin(), s.end(), [](char c) {
    auto u = static_cast<unsigned char>(c);
    return u >= 0x80 || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '_' || c == '.';
  });
}

// One parameter with its value in the form the schema asks for.
struct Parameter {
  std::string name;
  Value value;
  bool typed = false;  // passed through one of the schema's own fields
};

// The schema's integer fields: 0 <= v <= 2^63. An empty value counts as not given.
void coerceInteger(Parameter& p, std::vector<Problem>& problems) {
  if (isEmptyValue(p.value)) return;
  auto number = wholeNumber(p.value);
  if (!number) {
    problems.emplace_back("querystring", p.name, "\"" + pythonText(p.value) + "\" is not a number");
    return;
  }
  static const Value kMax = Value::numberFromText(std::string(kMaxInteger));
  if (json::compare(*number, Value(0)) < 0) {
    problems.emplace_back("querystring", p.name,
                          number->numberText() + " is less than minimum value 0");
  } else if (json::compare(*number, kMax) > 0) {
    problems.emplace_back(
        "querystring", p.name,
        number->numberText() + " is greater than maximum value " + std::string(kMaxInteger));
  } else {
    p.value = std::move(*number);
    p.typed = true;
  }
}

void coerceString(Parameter& p, std::vector<Problem>& problems) {
  if (isEmptyValue(p.value) || (p.value.isBool() && !p.value.asBool())) return;
  if (!p.value.isString()) {
    problems.emplace_back("querystring", p.name,
                          pythonText(p.value) + " is not a string: {'" + p.name + "': ''}");
    return;
  }
  p.typed = true;
}

std::string likePattern(const std::string& text) {
  return text.find('*') == std::string::npos ? "*" + text + "*" : text;
}

class Parser {
 public:
  Parser(const Resource& resource, const Config& config, bool with_fields, std::int64_t now_ms,
         std::vector<Problem>& problems, std::optional<Problem>& late)
      : resource_(resource),
        config_(config),
        with_fields_(with_fields),
        now_ms_(now_ms),
        problems_(problems),
        late_(late) {}

  ListQuery parse(const QueryPairs& pairs);

 private:
  void typeParameters(const QueryPairs& pairs);
  void addFilters();
  void addFilter(const Parameter& p);
  void addSort();
  void addToken();
  void limit();
  void fail(std::string name, std::string description) {
    if (!late_) late_.emplace("querystring", std::move(name), std::move(description));
  }

  const Resource& resource_;
  const Config& config_;
  const bool with_fields_;
  const std::int64_t now_ms_;
  std::vector<Problem>& problems_;
  std::optional<Problem>& late_;

  std::vector<Parameter> parameters_;
  std::vector<std::string> sort_;
  std::vector<std::string> fields_;
  Value limit_;
  std::string token_;
  ListQuery out_;
};

void Parser::typeParameters(const QueryPairs& pairs) {
  for (const auto& [name, text] : pairs) {
    auto same = std::find_if(parameters_.begin(), parameters_.end(),
                             [&, n = &name](const Parameter& p) { return p.name == *n; });
    if (same != parameters_.end()) {
      // Given twice: a list of texts.
      if (!same->value.isArray()) {
        same->value = Value(json::Array{same->value});
      }
      same->value.asArray().push_back(Value(text));
      continue;
    }
    if (name == "_sort") {
      sort_ = commaList(text);
      continue;
    }
    if (name == "_fields") {
      if (with_fields_) fields_ = commaList(text);
      continue;
    }
    Parameter p{name, {}, false};
    if (name.starts_with("contains_")) {
      p.value = nativeValue(text);
      if (!p.value.isArray()) p.value = Value(json::Array{std::move(p.value)});
    } else if (name.starts_with("in_") || name.starts_with("exclude_")) {
      json::Array items;
      for (const std::string& item : commaList(text)) items.push_back(nativeValue(item));
      p.value = Value(std::move(items));
    } else {
      p.value = nativeValue(text);
    }
    parameters_.push_back(std::move(p));
  }
  for (Parameter& p : parameters_) {
    if (p.name == "_limit" || p.name == "_since" || p.name == "_to" || p.name == "_before" ||
        p.name == "last_modified") {
      coerceInteger(p, problems_);
    } else if (p.name == "_token" || p.name == "id") {
      coerceString(p, problems_);
    }
  }
}

void Parser::addFilter(const Parameter& p) {
  std::string param(trim(p.name));
  if (param.starts_with("_")) {
    if (param != "_since" && param != "_to" && param != "_before") {
      if (param == "_limit") limit_ = p.value;
      if (param == "_token" && p.value.isString()) token_ = p.value.asString();
      return;
    }
    if (param == "_to") out_.deprecated_to = true;
    out_.query.include_deleted = true;
    if (p.value.isNull()) return;
    auto timestamp = timestampOf(p.value, now_ms_);
    if (!timestamp) return fail(param, "Invalid value for " + param);
    Filter filter;
    filter.field = "last_modified";
    filter.op = param == "_since" ? Op::kGt : Op::kLt;
    filter.value = std::move(*timestamp);
    out_.query.filters.push_back(std::move(filter));
    return;
  }
  Filter filter;
  filter.field = param;
  filter.value = p.value;
  for (const Keyword& keyword : kKeywords) {
    if (param.starts_with(keyword.prefix) && isFieldName(param.substr(keyword.prefix.size()))) {
      filter.op = keyword.op;
      filter.field = param.substr(keyword.prefix.size());
      break;
    }
  }
  if (!resource_.knows(filter.field)) return fail(param, "Unknown filter field '" + param + "'");
  const auto& text_fields = resource_.text_fields;
  bool is_text =
      std::find(text_fields.begin(), text_fields.end(), filter.field) != text_fields.end();
  if (is_text && filter.value.isNumber()) filter.value = Value(filter.value.numberText());
  const std::string invalid = "Invalid value for " + param;
  bool id = filter.field == "id";
  bool modified = filter.field == "last_modified";
  if (filter.op == Op::kLike) {
    if (!filter.value.isString()) return fail(param, invalid);
  }
  if (filter.op == Op::kIn || filter.op == Op::kExclude) {
    const json::Array& items = filter.value.asArray();
    auto is_string = [](const Value& v) { return v.isString(); };
    if (id && !std::all_of(items.begin(), items.end(), is_string)) return fail(param, invalid);
  }
  if (filter.field.find('\0') != std::string::npos || hasNul(filter.value)) {
    return fail(param, "Invalid character 0x00");
  }
  bool contains = filter.op == Op::kContains || filter.op == Op::kContainsAny;
  if (modified) {
    auto timestamp = timestampOf(filter.value, now_ms_);
    if (!timestamp) return fail(param, invalid);
    if (filter.op != Op::kLike && filter.op != Op::kHas) filter.value = std::move(*timestamp);
  }
  if (contains && id) {
    return fail(param, "Field '" + filter.field + "' is not an array");
  }
  if (filter.op == Op::kLike) filter.value = Value(likePattern(filter.value.asString()));
  if (filter.op == Op::kHas) {
    const Value& v = filter.value;
    bool truthy = v.isBool() ? v.asBool() : !isEmptyValue(v) && !(v.isNumber() && v == Value(0));
    filter.value = Value(truthy);
  }
  if (modified) {
    out_.query.include_deleted = true;
  } else {
    out_.only_last_modified = false;
  }
  out_.query.filters.push_back(std::move(filter));
}

void Parser::addFilters() {
  for (const Parameter& p : parameters_) addFilter(p);
  if (out_.query.filters.size() > kMaxFilters) {
    fail("filters", "Too many filters, at most " + std::to_string(kMaxFilters));
    out_.query.filters.clear();
  }
}

void Parser::addSort() {
  bool ordered = std::find(sort_.begin(), sort_.end(), resource_.order_by) != sort_.end();
  for (const std::string& item : sort_) {
    std::string_view field = trim(item);
    bool descending = field.starts_with("-");
    if (descending || field.starts_with("+")) field.remove_prefix(1);
    if (!isFieldName(field)) continue;
    if (!resource_.knows(field)) {
      if (!late_) {
        late_.emplace("querystring", "", "Unknown sort field '" + std::string(field) + "'");
        late_->has_name = false;
      }
      return;
    }
    if (field != "last_modified") out_.only_last_modified = false;
    out_.query.sort.push_back({std::string(field), descending});
  }
  if (out_.query.sort.size() > kMaxSorts) {
    fail("_sort", "_sort may name at most " + std::to_string(kMaxSorts) + " fields");
    out_.query.sort.resize(kMaxSorts);
  }
  if (!ordered) out_.query.sort.push_back({resource_.order_by, true});
}

void Parser::limit() {
  std::uint64_t limit = 0;
  if (limit_.isNumber()) {
    auto n = limit_.toInt();
    limit = n ? static_cast<std::uint64_t>(*n) : UINT64_MAX;
  } else if (limit_.isNull() && config_.paginate_by) {
    limit = *config_.paginate_by;
  }
  if (limit != 0 && config_.paginate_by && *config_.paginate_by != 0) {
    limit = std::min(limit, *config_.paginate_by);
  }
  out_.limit =
      limit == 0 ? config_.storage_max_fetch_size : std::min(limit, config_.storage_max_fetch_size);
}

void Parser::addToken() {
  if (token_.empty()) return;
  auto token = readPageToken(token_);
  // What the columns hold is known; anything else there was never made by us.
  for (const store::Sort& sort : out_.query.sort) {
    const Value* value = token ? token->last_object.get(sort.field) : nullptr;
    if (value && ((sort.field == "last_modified" && !value->toInt()) ||
                  (sort.field == "id" && !value->isString()))) {
      token.reset();
    }
  }
  if (!token) {
    if (!late_) {
      late_.emplace("querystring", "", "_token has invalid content");
      late_->has_name = false;
    }
    return;
  }
  out_.token_nonce = std::move(token->nonce);
  out_.token_offset = token->offset;
  // Behind the last object: greater in the first field, or equal there and greater in the second...
  const auto& sort = out_.query.sort;
  for (std::size_t n = sort.size(); n > 0; --n) {
    std::vector<Filter> rule;
    for (std::size_t i = 0; i < n; ++i) {
      Filter filter;
      filter.field = sort[i].field;
      filter.op = i + 1 < n ? Op::kEq : sort[i].descending ? Op::kLt : Op::kGt;
      if (const Value* value = token->last_object.get(sort[i].field)) {
        filter.value = *value;
      } else {
        filter.missing = true;
      }
      rule.push_back(std::move(filter));
    }
    out_.query.page_rules.push_back(std::move(rule));
  }
}

ListQuery Parser::parse(const QueryPairs& pairs) {
  typeParameters(pairs);
  if (!problems_.empty()) return std::move(out_);
  addFilters();
  limit();
  addSort();
  out_.fields = checkedFields(std::move(fields_), resource_, late_);
  addToken();
  return std::move(out_);
}

}  // namespace

ListQuery parseListQuery(const QueryPairs& pairs, const Resource& resource, const Config& config,
                         bool with_fields, std::int64_t now_ms, std::vector<Problem>& problems,
                         std::optional<Problem>& late) {
  Parser parser(resource, config, with_fields, now_ms, problems, late);
  return parser.parse(pairs);
}

}  // namespace godwit::kinto
