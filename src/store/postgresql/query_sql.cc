#include "store/postgresql/query_sql.h"

#include <algorithm>
#include <optional>

#include "store/glob.h"

namespace godwit::store::postgresql {

namespace {

enum class Where : std::uint8_t { kId, kTime, kData };

Where whereOf(std::string_view field) {
  if (field == "id") return Where::kId;
  if (field == "last_modified") return Where::kTime;
  return Where::kData;
}

std::vector<std::string> keysOf(std::string_view field) {
  std::vector<std::string> keys;
  for (;;) {
    auto dot = field.find('.');
    keys.emplace_back(field.substr(0, dot));
    if (dot == std::string_view::npos) return keys;
    field.remove_prefix(dot + 1);
  }
}

// data -> key -> key; `text` makes the last step yield text.
void appendPath(SqlBuilder& out, std::string_view field, bool text = false) {
  auto keys = keysOf(field);
  out.raw("(data");
  for (std::size_t i = 0; i < keys.size(); ++i) {
    out.raw(text && i + 1 == keys.size() ? " ->> " : " -> ");
    out.cast(std::move(keys[i]), "text");
  }
  out.raw(")");
}

void appendColumn(SqlBuilder& out, Where where, std::string_view field) {
  if (where == Where::kId) {
    out.raw("id");
  } else if (where == Where::kTime) {
    out.raw("last_modified");
  } else {
    appendPath(out, field);
  }
}

// {"a":{"b":value}} for a.b
json::Value nested(std::string_view field, json::Value value) {
  auto keys = keysOf(field);
  for (auto it = keys.rbegin(); it != keys.rend(); ++it) {
    json::Object o;
    o.set(*it, std::move(value));
    value = json::Value(std::move(o));
  }
  return value;
}

std::string_view comparison(Op op) {
  switch (op) {
    case Op::kEq:
      return " = ";
    case Op::kNot:
      return " <> ";
    case Op::kLt:
      return " < ";
    case Op::kGt:
      return " > ";
    case Op::kMin:
      return " >= ";
    case Op::kMax:
      return " <= ";
    default:
      return "";
  }
}

Error bad(const Filter& f, std::string_view why) {
  return Error(ErrorCode::kInvalid, "filter on " + f.field + ": " + std::string(why));
}

json::Array valuesOf(const Filter& f) {
  if (f.value.isArray()) return f.value.asArray();
  json::Array one;
  one.push_back(f.value);
  return one;
}

std::optional<Timestamp> timeOf(const json::Value& v) {
  if (auto n = v.toInt()) return n;
  if (!v.isString()) return std::nullopt;
  const auto& s = v.asString();
  if (s.empty() || s.size() > 18 || s.find_first_not_of("0123456789") != std::string::npos) {
    return std::nullopt;
  }
  return std::stoll(s);
}

std::optional<std::string> idOf(const json::Value& v) {
  if (v.isString()) return v.asString();
  if (v.isNumber()) return v.numberText();
  return std::nullopt;
}

// Timestamps far outside what PostgreSQL can hold compare like the nearest it can.
Timestamp clamped(Timestamp t) {
  constexpr Timestamp kFar = 250'000'000'000'000;
  return std::max(-std::int64_t{60'000'000'000'000}, std::min(t, kFar));
}

void appendTime(SqlBuilder& out, Timestamp t) {
  out.raw("(TIMESTAMP 'epoch' + ").number(clamped(t)).raw(" * INTERVAL '1 millisecond')");
}

Result<void> appendSet(SqlBuilder& out, const Filter& f, Where where) {
  // Excluding nothing leaves nothing that has the field: Kinto's NOT IN (NULL).
  bool in = f.op == Op::kIn;
  auto values = valuesOf(f);
  std::vector<std::string> items;
  for (const auto& v : values) {
    if (where == Where::kTime) {
      auto t = timeOf(v);
      if (!t) return bad(f, "not an integer");
      items.push_back(std::to_string(clamped(*t)));
    } else if (where == Where::kId) {
      auto id = idOf(v);
      if (!id) return bad(f, "not a string");
      items.push_back(std::move(*id));
    } else {
      items.push_back(json::dump(v));
    }
  }
  if (where == Where::kData && !in) {
    out.raw("(");
    appendPath(out, f.field);
    out.raw(" IS NULL OR ");
  }
  if (items.empty()) {
    out.raw("FALSE");
  } else {
    if (where == Where::kTime) {
      out.raw("as_epoch(last_modified)");
    } else {
      appendColumn(out, where, f.field);
    }
    out.raw(in ? " = ANY(" : " <> ALL(");
    out.array(items);
    out.raw(where == Where::kTime ? "::bigint[])"
            : where == Where::kId ? "::text[])"
                                  : "::jsonb[])");
  }
  if (where == Where::kData && !in) out.raw(")");
  return {};
}

Result<void> appendContains(SqlBuilder& out, const Filter& f, Where where) {
  if (where != Where::kData) return bad(f, "not an array");
  auto values = valuesOf(f);
  if (f.op == Op::kContains && !values.empty()) {
    // Elements are compared whole, as in contains_any_; @> alone would look into nested arrays.
    bool scalars = true;
    for (const auto& v : values) scalars = scalars && !v.isArray() && !v.isObject();
    if (scalars) {
      out.raw("data @> ").json(nested(f.field, json::Value(std::move(values))));
      return {};
    }
  }
  std::vector<std::string> items;
  for (const auto& v : values) items.push_back(json::dump(v));
  // CASE keeps jsonb_array_elements away from what is no array.
  out.raw("COALESCE(CASE WHEN jsonb_typeof(");
  appendPath(out, f.field);
  out.raw(") = 'array' THEN ARRAY(SELECT jsonb_array_elements(");
  appendPath(out, f.field);
  out.raw(f.op == Op::kContains ? ")) @> " : ")) && ");
  out.array(items).raw("::jsonb[] END, FALSE)");
  return {};
}

// Page rules compare with "absent", which is greater than every value.
Result<void> appendMissing(SqlBuilder& out, const Filter& f, Where where) {
  if (comparison(f.op).empty()) return bad(f, "no such comparison");
  if (where != Where::kData) {
    bool holds = f.op == Op::kLt || f.op == Op::kMax || f.op == Op::kNot;
    out.raw(holds ? "TRUE" : "FALSE");
    return {};
  }
  switch (f.op) {
    case Op::kMax:
      out.raw("TRUE");
      return {};
    case Op::kGt:
      out.raw("FALSE");
      return {};
    default:
      break;
  }
  appendPath(out, f.field);
  out.raw(f.op == Op::kEq || f.op == Op::kMin ? " IS NULL" : " IS NOT NULL");
  return {};
}

Result<void> appendLike(SqlBuilder& out, const Filter& f, Where where) {
  if (!f.value.isString()) return bad(f, "like_ takes a string");
  // '%' and '_' keep their meaning: Kinto on PostgreSQL.
  std::string pattern;
  const auto& wanted = f.value.asString();
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] == '*') {
      pattern += '%';
    } else if (wanted[i] != '\\') {
      pattern += wanted[i];
    } else if (i + 1 < wanted.size() && wanted[i + 1] != '*') {
      pattern += '\\';
      pattern += wanted[++i];
    } else {
      pattern += "\\\\";  // LIKE refuses a pattern that ends in one
    }
  }
  if (where == Where::kData) {
    appendPath(out, f.field, true);
  } else {
    out.raw(where == Where::kId ? "id" : "as_epoch(last_modified)::text");
  }
  out.raw(" ILIKE ").cast(std::move(pattern), "text");
  return {};
}

Result<void> appendComparison(SqlBuilder& out, const Filter& f, Where where) {
  if (where == Where::kTime) {
    auto t = timeOf(f.value);
    if (!t) return bad(f, "not an integer");
    out.raw("last_modified").raw(comparison(f.op));
    appendTime(out, *t);
    return {};
  }
  if (where == Where::kId) {
    auto id = idOf(f.value);
    if (!id) return bad(f, "not a string");
    out.raw("id").raw(comparison(f.op)).cast(std::move(*id), "text");
    return {};
  }
  // Containment says the same for scalars and can use an index on data.
  if (f.op == Op::kEq && !f.value.isArray() && !f.value.isObject()) {
    out.raw("data @> ").json(nested(f.field, f.value));
    return {};
  }
  // Absent differs from everything and is greater than everything; lt_ and max_ never match it.
  bool absent_matches = f.op == Op::kNot || f.op == Op::kGt || f.op == Op::kMin;
  if (absent_matches) {
    out.raw("(");
    appendPath(out, f.field);
    out.raw(" IS NULL OR ");
  }
  appendPath(out, f.field);
  out.raw(comparison(f.op)).json(f.value);
  if (absent_matches) out.raw(")");
  return {};
}

Result<void> appendFilter(SqlBuilder& out, const Filter& f) {
  Where where = whereOf(f.field);
  if (f.missing) return appendMissing(out, f, where);
  switch (f.op) {
    case Op::kHas:
      if (!f.value.isBool()) return bad(f, "has_ takes true or false");
      appendColumn(out, where, f.field);
      out.raw(f.value.asBool() ? " IS NOT NULL" : " IS NULL");
      return {};
    case Op::kLike:
      return appendLike(out, f, where);
    case Op::kIn:
    case Op::kExclude:
      return appendSet(out, f, where);
    case Op::kContains:
    case Op::kContainsAny:
      return appendContains(out, f, where);
    default:
      return appendComparison(out, f, where);
  }
}

}  // namespace

SqlBuilder& SqlBuilder::text(std::string_view value) {
  params_.text(value);
  sql_ += "$" + std::to_string(params_.size());
  return *this;
}

SqlBuilder& SqlBuilder::cast(std::string value, std::string_view type) {
  params_.ownText(std::move(value));
  sql_ += "$" + std::to_string(params_.size()) + "::";
  sql_ += type;
  return *this;
}

SqlBuilder& SqlBuilder::number(std::int64_t value) {
  params_.integer(value);
  sql_ += "$" + std::to_string(params_.size()) + "::bigint";
  return *this;
}

SqlBuilder& SqlBuilder::json(const json::Value& value) {
  params_.ownJson(json::dump(value));
  sql_ += "$" + std::to_string(params_.size()) + "::jsonb";
  return *this;
}

SqlBuilder& SqlBuilder::array(const std::vector<std::string>& items) {
  params_.array(items);
  sql_ += "$" + std::to_string(params_.size());
  return *this;
}

void appendList(SqlBuilder& out, const Ref& ref) {
  if (!isGlob(ref.parent)) {
    out.raw("parent_id = ").text(ref.parent);
  } else {
    // The prefix as a range, since a prepared plan cannot know that the pattern has one.
    auto prefix = globPrefix(ref.parent);
    out.raw("parent_id >= ").cast(std::string(prefix), "text");
    out.raw(" AND parent_id < ").cast(rangeEnd(prefix), "text");
    out.raw(" AND parent_id LIKE ").cast(likePattern(ref.parent), "text");
  }
  if (!ref.resource.empty()) out.raw(" AND resource_name = ").text(ref.resource);
}

Result<void> appendFilters(SqlBuilder& out, const std::vector<Filter>& filters) {
  for (const auto& f : filters) {
    out.raw(" AND ");
    GODWIT_TRY(appendFilter(out, f));
  }
  return {};
}

Result<void> appendPageRules(SqlBuilder& out, const std::vector<std::vector<Filter>>& rules) {
  if (rules.empty()) return {};
  out.raw(" AND (");
  for (std::size_t i = 0; i < rules.size(); ++i) {
    out.raw(i == 0 ? "(TRUE" : " OR (TRUE");
    GODWIT_TRY(appendFilters(out, rules[i]));
    out.raw(")");
  }
  out.raw(")");
  return {};
}

void appendSort(SqlBuilder& out, const std::vector<Sort>& sort) {
  out.raw(" ORDER BY ");
  for (const auto& s : sort) {
    Where where = whereOf(s.field);
    appendColumn(out, where, s.field);
    if (s.descending) out.raw(" DESC");
    if (where == Where::kTime) return;  // unique: what follows cannot matter
    out.raw(", ");
  }
  out.raw("last_modified DESC");
}

std::string rangeEnd(std::string_view prefix) {
  // Outside ASCII the next byte need not be UTF-8, which the server would refuse.
  std::string end = prefixEnd(prefix);
  bool ascii = !end.empty() && std::all_of(end.begin(), end.end(), [](char c) { return c > 0; });
  return ascii ? end : "\xf4\x8f\xbf\xbf";  // U+10FFFF
}

std::string likePattern(std::string_view pattern) {
  std::string out;
  for (char c : pattern) {
    if (c == '*') {
      out += '%';
      continue;
    }
    if (c == '%' || c == '_' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

}  // namespace godwit::store::postgresql
