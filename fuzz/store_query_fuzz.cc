// fuzz-links: store json base
// Filters and sorts over arbitrary objects: first line a field, second an operand, third the
// object. The fast comparison must agree with the one over documents, and selection with sorting.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "json/text.h"
#include "store/query.h"

namespace {

using namespace godwit;
using namespace godwit::store;

void require(bool holds) {
  if (!holds) std::abort();
}

std::string_view line(std::string_view& rest) {
  std::size_t end = rest.find('\n');
  std::string_view out = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  return out;
}

int sign(int v) { return (v > 0) - (v < 0); }

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  std::string field(line(rest));
  std::string operand(line(rest));
  auto value = json::parse(operand);
  std::string object;
  auto parsed = json::parse(rest);
  if (parsed.ok() && parsed->isObject()) json::canonicalTo(object, rest);
  if (object.empty()) object = R"({"a":1})";

  std::string other = R"({"a":[1,"b",null],"b":{"c":2.50}})";
  ObjectView views[2] = {{"x", 5, false, object}, {"y", 6, false, other}};

  Query sorting;
  sorting.sort.push_back({field, false});
  auto plan = Plan::make(sorting);
  require(plan.ok());
  Selection selection(*plan);
  for (const auto& v : views) selection.offer(v, 0);
  auto items = selection.take();
  require(items.size() == 2);

  if (!value.ok()) {
    Like like(operand);
    (void)like.matches(object);
    (void)like.matches(field);
    return 0;
  }
  if (value->isString()) {
    // A pattern without wildcards matches itself.
    const std::string& s = value->asString();
    if (s.find_first_of("*%_\\") == std::string::npos) require(Like(s).matches(s));
  }
  FieldPath path(field);
  Operand constant(*value);
  for (const auto& v : views) {
    auto raw = path.find(v);
    for (Op op : {Op::kEq, Op::kNot, Op::kLt, Op::kGt, Op::kMin, Op::kMax, Op::kIn, Op::kExclude,
                  Op::kLike, Op::kHas, Op::kContains, Op::kContainsAny}) {
      Filter f;
      f.field = field;
      f.op = op;
      f.value = *value;
      auto condition = Condition::make(f);
      if (!condition.ok()) continue;
      (void)condition->matches(v);
    }
    if (path.where() != FieldPath::Where::kData || !raw) continue;
    auto document = json::parse(*raw);
    require(document.ok());
    int expected = json::compare(*document, *value);
    require(sign(constant.compare(*raw)) == sign(expected));
    require(constant.equals(*raw) == (expected == 0));
  }
  return 0;
}
