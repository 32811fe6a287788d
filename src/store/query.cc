#include "store/query.h"

#include <algorithm>
#include <limits>

#include "json/text.h"

namespace godwit::store {
namespace {

constexpr Timestamp kEarliest = std::numeric_limits<Timestamp>::min();
constexpr Timestamp kLatest = std::numeric_limits<Timestamp>::max();

bool isList(Op op) {
  return op == Op::kIn || op == Op::kExclude || op == Op::kContains || op == Op::kContainsAny;
}

// Does an order between a field and an operand (field <=> operand) satisfy the operator?
bool satisfies(Op op, int order) {
  switch (op) {
    case Op::kEq:
      return order == 0;
    case Op::kNot:
      return order != 0;
    case Op::kLt:
      return order < 0;
    case Op::kGt:
      return order > 0;
    case Op::kMin:
      return order >= 0;
    case Op::kMax:
      return order <= 0;
    default:
      return false;
  }
}

Error bad(const Filter& f, std::string_view why) {
  return {ErrorCode::kInvalid, "filter on " + f.field + ": " + std::string(why)};
}

std::optional<Timestamp> timeOf(const json::Value& v) {
  if (auto n = v.toInt()) return n;
  if (v.isString()) return shortInteger(v.asString());  // "123", as from an ETag
  return std::nullopt;
}

// An id is text; a number stands for the text it was written as.
std::optional<std::string> idOf(const json::Value& v) {
  if (v.isString()) return v.asString();
  if (v.isNumber()) return v.numberText();
  return std::nullopt;
}

}  // namespace

FieldPath::FieldPath(std::string_view field) : where_(Where::kData) {
  if (field == "id") where_ = Where::kId;
  if (field == "last_modified") where_ = Where::kTime;
  if (field == "deleted") where_ = Where::kDeleted;
  for (;;) {
    std::size_t dot = field.find('.');
    keys_.emplace_back(field.substr(0, dot));
    if (dot == std::string_view::npos) break;
    field.remove_prefix(dot + 1);
  }
}

std::optional<std::string_view> FieldPath::find(const ObjectView& object) const {
  if (object.deleted) {
    if (where_ == Where::kDeleted) return "true";
    return std::nullopt;
  }
  std::string_view at = object.data;
  for (const std::string& key : keys_) {
    if (rawKind(at) != json::Kind::kObject) return std::nullopt;
    auto next = json::findPath(at, key);
    if (!next) return std::nullopt;
    at = *next;
  }
  return at;
}

Result<Condition> Condition::make(const Filter& f) {
  Condition c(f);
  using Where = FieldPath::Where;
  Where where = c.path_.where();
  bool column = where == Where::kId || where == Where::kTime;
  c.missing_ = f.missing;
  if (f.missing) {
    if (isList(f.op) || f.op == Op::kLike || f.op == Op::kHas) return bad(f, "no such comparison");
    return c;
  }
  if (f.op == Op::kHas) {
    if (!f.value.isBool()) return bad(f, "has_ takes true or false");
    c.has_ = f.value.asBool();
    return c;
  }
  if (f.op == Op::kLike) {
    if (!f.value.isString()) return bad(f, "like_ takes a string");
    c.like_.emplace(f.value.asString());
    return c;
  }
  if (column && (f.op == Op::kContains || f.op == Op::kContainsAny)) {
    return bad(f, "not an array");
  }
  json::Array values;
  if (!isList(f.op)) {
    values.push_back(f.value);
  } else if (f.value.isArray()) {
    values = f.value.asArray();
  } else {
    values.push_back(f.value);
  }
  for (json::Value& v : values) {
    if (where == Where::kTime) {
      auto t = timeOf(v);
      if (!t) return bad(f, "not an integer");
      c.times_.push_back(*t);
    } else if (where == Where::kId) {
      auto id = idOf(v);
      if (!id) return bad(f, "not a string");
      c.ids_.push_back(std::move(*id));
    } else {
      c.operands_.emplace_back(std::move(v));
    }
  }
  return c;
}

bool Condition::matches(const ObjectView& object) const {
  switch (path_.where()) {
    case FieldPath::Where::kId:
      return matchesId(object.id);
    case FieldPath::Where::kTime:
      return matchesTime(object.last_modified);
    default:
      return matchesRaw(path_.find(object));
  }
}

bool Condition::matchesId(std::string_view id) const {
  if (missing_) return satisfies(op_, -1);
  switch (op_) {
    case Op::kHas:
      return has_;
    case Op::kLike:
      return like_->matches(id);
    case Op::kIn:
      return std::find(ids_.begin(), ids_.end(), id) != ids_.end();
    case Op::kExclude:
      return !ids_.empty() && std::find(ids_.begin(), ids_.end(), id) == ids_.end();
    default:
      return satisfies(op_, id.compare(ids_.front()));
  }
}

bool Condition::matchesTime(Timestamp t) const {
  if (missing_) return satisfies(op_, -1);
  switch (op_) {
    case Op::kHas:
      return has_;
    case Op::kLike:
      return like_->matches(std::to_string(t));
    case Op::kIn:
      return std::find(times_.begin(), times_.end(), t) != times_.end();
    case Op::kExclude:
      return !times_.empty() && std::find(times_.begin(), times_.end(), t) == times_.end();
    default:
      return satisfies(op_, t < times_.front() ? -1 : (t > times_.front() ? 1 : 0));
  }
}

bool Condition::matchesRaw(std::optional<std::string_view> raw) const {
  // An absent field is greater than everything, differs from everything, and is in no set. lt_ and
  // max_ never match it: SQL's NULL, kept from Kinto on PostgreSQL.
  if (missing_) return satisfies(op_, raw ? -1 : 0);
  if (op_ == Op::kHas) return raw.has_value() == has_;
  if (!raw) {
    return op_ == Op::kNot || op_ == Op::kExclude || op_ == Op::kGt || op_ == Op::kMin;
  }
  auto is = [&](const Operand& o) { return o.equals(*raw); };
  switch (op_) {
    case Op::kEq:
      return operands_.front().equals(*raw);
    case Op::kNot:
      return !operands_.front().equals(*raw);
    case Op::kIn:
      return std::any_of(operands_.begin(), operands_.end(), is);
    case Op::kExclude:
      // Excluding nothing leaves nothing that has the field: NOT IN (NULL).
      return !operands_.empty() && std::none_of(operands_.begin(), operands_.end(), is);
    case Op::kContains:
    case Op::kContainsAny:
      return matchesArray(*raw);
    case Op::kLike: {
      auto text = rawAsText(*raw);
      return text && like_->matches(*text);
    }
    default:
      return satisfies(op_, operands_.front().compare(*raw));
  }
}

bool Condition::matchesArray(std::string_view raw) const {
  if (rawKind(raw) != json::Kind::kArray) return false;
  auto document = json::parse(raw);
  if (!document.ok() || !document->isArray()) return false;
  const json::Array& have = document->asArray();
  auto held = [&](const Operand& want) {
    return std::any_of(have.begin(), have.end(),
                       [&](const json::Value& v) { return json::compare(v, want.value()) == 0; });
  };
  return op_ == Op::kContains ? std::all_of(operands_.begin(), operands_.end(), held)
                              : std::any_of(operands_.begin(), operands_.end(), held);
}

namespace {

struct Range {
  Timestamp from = kEarliest;
  Timestamp to = kLatest;
};

Range rangeOf(const Condition& c) {
  Range r;
  if (c.path().where() != FieldPath::Where::kTime || c.times().empty()) return r;
  Timestamp t = c.times().front();
  switch (c.op()) {
    case Op::kEq:
      return {t, t};
    case Op::kMin:
      r.from = t;
      break;
    case Op::kMax:
      r.to = t;
      break;
    case Op::kGt:
      r.from = t == kLatest ? t : t + 1;
      break;
    case Op::kLt:
      r.to = t == kEarliest ? t : t - 1;
      break;
    case Op::kIn:
      r.from = *std::min_element(c.times().begin(), c.times().end());
      r.to = *std::max_element(c.times().begin(), c.times().end());
      break;
    default:
      break;
  }
  return r;
}

Range rangeOf(const std::vector<Condition>& all) {
  Range r;
  for (const Condition& c : all) {
    Range one = rangeOf(c);
    r.from = std::max(r.from, one.from);
    r.to = std::min(r.to, one.to);
  }
  return r;
}

Result<std::vector<Condition>> compileAll(const std::vector<Filter>& filters) {
  std::vector<Condition> out;
  out.reserve(filters.size());
  for (const Filter& f : filters) {
    auto c = Condition::make(f);
    if (!c.ok()) return c.error();
    out.push_back(std::move(*c));
  }
  return out;
}

}  // namespace

Result<Plan> Plan::make(const Query& query) {
  Plan p;
  p.limit_ = query.limit;
  p.include_deleted_ = query.include_deleted;
  auto filters = compileAll(query.filters);
  if (!filters.ok()) return filters.error();
  p.filters_ = std::move(*filters);
  Range range = rangeOf(p.filters_);

  if (!query.page_rules.empty()) {
    Range any{kLatest, kEarliest};
    for (const auto& group : query.page_rules) {
      auto rules = compileAll(group);
      if (!rules.ok()) return rules.error();
      Range one = rangeOf(*rules);
      any.from = std::min(any.from, one.from);
      any.to = std::max(any.to, one.to);
      p.rules_.push_back(std::move(*rules));
    }
    range.from = std::max(range.from, any.from);
    range.to = std::min(range.to, any.to);
  }
  p.from_ = range.from;
  p.to_ = range.to;

  for (const Condition& c : p.filters_) {
    if (c.path().where() == FieldPath::Where::kId && (c.op() == Op::kEq || c.op() == Op::kIn)) {
      p.only_ids_ = c.ids();
      std::sort(p.only_ids_->begin(), p.only_ids_->end());
      p.only_ids_->erase(std::unique(p.only_ids_->begin(), p.only_ids_->end()), p.only_ids_->end());
      break;
    }
  }

  bool timed = false;
  for (const Sort& s : query.sort) {
    p.order_.push_back({FieldPath(s.field), s.descending});
    timed = p.order_.back().path.where() == FieldPath::Where::kTime;
    if (timed) break;  // unique: what follows cannot matter
  }
  if (!timed) p.order_.push_back({FieldPath("last_modified"), true});
  return p;
}

bool Plan::matches(const ObjectView& object) const {
  if (object.deleted && !include_deleted_) return false;
  auto holds = [&](const Condition& c) { return c.matches(object); };
  if (!std::all_of(filters_.begin(), filters_.end(), holds)) return false;
  return rules_.empty() || std::any_of(rules_.begin(), rules_.end(), [&](const auto& group) {
           return std::all_of(group.begin(), group.end(), holds);
         });
}

bool Selection::less(const Item& a, const Item& b) const {
  const auto& order = plan_.order();
  for (std::size_t i = 0; i < order.size(); ++i) {
    int c = 0;
    switch (order[i].path.where()) {
      case FieldPath::Where::kTime:
        c = a.object.last_modified < b.object.last_modified
                ? -1
                : (a.object.last_modified > b.object.last_modified ? 1 : 0);
        break;
      case FieldPath::Where::kId:
        c = a.object.id.compare(b.object.id);
        break;
      default: {
        const auto& x = a.keys[i];
        const auto& y = b.keys[i];
        c = x && y ? json::compare(*x, *y) : (x ? -1 : (y ? 1 : 0));
      }
    }
    if (c != 0) return order[i].descending ? c > 0 : c < 0;
  }
  return a.tag < b.tag;
}

bool Selection::full() const {
  return plan_.byTime() && plan_.limit() && items_.size() >= *plan_.limit();
}

void Selection::offer(const ObjectView& v, std::int64_t tag) {
  if (plan_.limit() == 0U) return;
  Item item;
  item.tag = tag;
  item.object.last_modified = v.last_modified;
  if (!plan_.byTime()) {
    item.keys.resize(plan_.order().size());
    for (std::size_t i = 0; i < plan_.order().size(); ++i) {
      const FieldPath& path = plan_.order()[i].path;
      if (path.where() == FieldPath::Where::kId || path.where() == FieldPath::Where::kTime)
        continue;
      if (auto raw = path.find(v)) {
        auto value = json::parse(*raw);
        if (value.ok()) item.keys[i] = std::move(*value);
      }
    }
  }
  item.object.id = v.id;
  auto later = [this](const Item& a, const Item& b) { return less(a, b); };
  if (plan_.limit() && items_.size() >= *plan_.limit()) {
    if (!heap_) {
      std::make_heap(items_.begin(), items_.end(), later);
      heap_ = true;
    }
    if (!less(item, items_.front())) return;
    std::pop_heap(items_.begin(), items_.end(), later);
    items_.pop_back();
  }
  item.object.deleted = v.deleted;
  item.object.data = v.data;
  items_.push_back(std::move(item));
  if (heap_) std::push_heap(items_.begin(), items_.end(), later);
}

std::vector<Selection::Item> Selection::take() {
  auto before = [this](const Item& a, const Item& b) { return less(a, b); };
  if (!std::is_sorted(items_.begin(), items_.end(), before)) {
    std::sort(items_.begin(), items_.end(), before);
  }
  return std::move(items_);
}

}  // namespace godwit::store
