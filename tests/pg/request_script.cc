#include "request_script.h"

#include "base/encoding.h"

namespace godwit::test {
namespace {

constexpr const char* kUsers[] = {"mat", "mat", "mat", "mat", "mat", "mat",
                                  "mat", "mat", "mat", "eve", "eve", ""};
constexpr const char* kFields[] = {"n", "s", "o", "tags", "a.b", "é"};
constexpr const char* kPaths[] = {"n", "s", "o", "tags", "a.b", "é", "o.p", "o.p.q", "id", "none"};

// What is equal, what is next to each other and what sorts strangely.
constexpr const char* kValues[] = {
    "null",
    "true",
    "false",
    "0",
    "-0",
    "0.0",
    "1",
    "1.0",
    "1e0",
    "10E-1",
    "2",
    "-1",
    "0.1",
    "0.10",
    "1e2",
    "100",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775809",
    "18446744073709551616",
    "123456789012345678901234567890",
    "1e400",
    "-1e400",
    "1e-400",
    "0.30000000000000004",
    R"("")",
    R"("a")",
    R"("A")",
    R"("b")",
    R"("1")",
    R"("é")",
    R"("É")",
    R"("e\u0301")",
    R"("\ud83d\ude00")",
    R"("ß")",
    R"("%")",
    R"("a_b")",
    R"("a%b")",
    R"("a\\b")",
    R"("a\"b")",
    R"("a'b")",
    R"("a,b")",
    R"("tab\tline\n\u0001")",
    R"("true")",
    R"("null")",
    "[]",
    "[1]",
    "[1,2]",
    R"(["a"])",
    R"(["a","b",1.0])",
    "[[]]",
    "[null]",
    "{}",
    R"({"p":1})",
    R"({"p":{"q":2}})",
    R"({"p":null,"":0})",
    R"({"b":1,"a":2,"b":3})",
    R"("9999999999999999999999")",
};
constexpr const char* kLikes[] = {"a", "A",  "*",     "a*", "*b",  "a_b",     "a%b", "é", "É",
                                  "%", "\\", "a\\*b", "1",  "tr*", "{\"p\"*", "",    "ß"};
constexpr const char* kOperators[] = {"",         "",      "eq_",       "not_",         "lt_",
                                      "gt_",      "min_",  "max_",      "has_",         "in_",
                                      "exclude_", "like_", "contains_", "contains_any_"};
constexpr const char* kTypes[] = {"application/json", "application/merge-patch+json",
                                  "application/json-patch+json"};

std::string encoded(std::string_view text) { return percentEncode(text); }

}  // namespace

std::string Step::text() const {
  std::string out = method + " " + path + " as \"" + user + "\"";
  for (const auto& [name, value] : headers) out += " " + name + ": " + value;
  if (!body.empty()) out += "\n    " + body;
  for (const Step& item : items) out += "\n  - " + item.text();
  return out;
}

RequestScript::RequestScript(std::uint64_t seed, std::map<std::string, std::string> ids)
    : random_(seed), ids_(std::move(ids)) {}

std::string RequestScript::user() { return pick(kUsers); }

std::string RequestScript::bucket() {
  constexpr const char* kBuckets[] = {"a", "a", "a", "a",       "a",    "a",    "a", "a", "b",
                                      "b", "b", "b", "default", "none", "a%00", "*", "a_"};
  return std::string("/buckets/") + pick(kBuckets);
}

std::string RequestScript::list() {
  switch (below(12)) {
    case 0:
      return "/buckets";
    case 1:
      return bucket() + "/collections";
    case 2:
      return bucket() + "/groups";
    default:
      return bucket() + "/collections/" + (chance(92) ? "c" : "d") + "/records";
  }
}

std::string RequestScript::object() {
  constexpr const char* kIds[] = {"r0", "r1", "r2", "r3", "r4",    "R1", "r-1",         "r_1",
                                  "r0", "r1", "r2", "r!", "r%00x", "r*", "%F0%9F%98%80"};
  switch (below(14)) {
    case 0:
      return bucket();
    case 1:
      return bucket() + "/collections/" + (chance(70) ? "c" : "d");
    case 2:
      return bucket() + "/groups/" + (chance(70) ? "g" : "h");
    default:
      return bucket() + "/collections/" + (chance(92) ? "c" : "d") + "/records/" + pick(kIds);
  }
}

std::string RequestScript::time(const std::string& list, const Stamps& seen) {
  std::uint64_t known = seen.count(list);
  if (known == 0 || chance(8)) return chance(50) ? "1500000000000" : "42";
  // The newest twice as often as any other.
  return "@{" + list + "#" + std::to_string(chance(40) ? known - 1 : below(known)) + "}";
}

std::string RequestScript::principal() {
  switch (below(6)) {
    case 0:
      return "system.Everyone";
    case 1:
      return "system.Authenticated";
    case 2:
      return "/buckets/a/groups/g";
    case 3:
      return ids_.at("mat");
    default:
      return ids_.at("eve");
  }
}

std::string RequestScript::permissions() {
  constexpr const char* kNames[] = {"read", "write", "read", "write", "record:create", "nonsense"};
  std::string out = "{";
  for (std::uint64_t i = 0, n = below(3); i < n; ++i) {
    if (i > 0) out += ',';
    out += std::string("\"") + pick(kNames) + "\":[";
    for (std::uint64_t k = 0, count = below(3); k < count; ++k) {
      out += (k > 0 ? ",\"" : "\"") + principal() + "\"";
    }
    out += ']';
  }
  return out + "}";
}

std::string RequestScript::data(const std::string& list, const Stamps& seen) {
  std::vector<std::string> members;
  for (std::uint64_t i = 0, n = below(4); i < n; ++i) {
    members.push_back(std::string("\"") + pick(kFields) + "\":" + pick(kValues));
  }
  if (list.ends_with("/groups") && chance(80)) {
    members.push_back("\"members\":[\"" + ids_.at(chance(70) ? "eve" : "mat") + "\"]");
  }
  if (chance(8)) members.push_back("\"last_modified\":" + time(list, seen));
  if (chance(2)) members.push_back("\"last_modified\":4102444800000");
  if (chance(2)) members.push_back(std::string("\"last_modified\":") + pick(kValues));
  std::string out = "{";
  for (const std::string& member : members) out += (out.size() > 1 ? "," : "") + member;
  return out + "}";
}

std::string RequestScript::patch(Step& step, const Stamps& seen) {
  std::string type = pick(kTypes);
  step.headers.emplace_back("Content-Type", type);
  if (!type.ends_with("json-patch+json")) {
    std::string out = "{\"data\":" + data(listOf(step.path, step.user), seen);
    if (chance(20)) out += ",\"permissions\":" + permissions();
    return out + "}";
  }
  constexpr const char* kOps[] = {"add", "add", "replace", "remove", "test", "move", "copy"};
  std::string out = "[";
  for (std::uint64_t i = 0, n = 1 + below(3); i < n; ++i) {
    std::string op = pick(kOps);
    if (i > 0) out += ',';
    out += R"({"op":")" + op + R"(","path":"/data/)" + pick(kFields) + "\"";
    if (op == "move" || op == "copy") {
      out += std::string(R"(,"from":"/data/)") + pick(kFields) + "\"";
    } else if (op != "remove") {
      out += std::string(R"(,"value":)") + pick(kValues);
    }
    out += '}';
  }
  return out + "]";
}

std::string RequestScript::filter(const std::string& list, const Stamps& seen) {
  if (chance(15)) {
    constexpr const char* kTimes[] = {
        "_since=",        "_before=",         "_to=", "min_last_modified=", "lt_last_modified=",
        "last_modified=", "in_last_modified="};
    std::string when = time(list, seen);
    return pick(kTimes) + (chance(50) ? when : "%22" + when + "%22");
  }
  std::string op = pick(kOperators);
  std::string out = encoded(op + pick(kPaths)) + "=";
  if (op == "like_") return out + encoded(pick(kLikes));
  if (op == "has_") return out + (chance(50) ? "true" : "false");
  std::string value = pick(kValues);
  if (op == "in_" || op == "exclude_") {
    for (std::uint64_t i = 0, n = below(3); i < n; ++i) value += std::string(",") + pick(kValues);
  }
  return out + encoded(value);
}

std::string RequestScript::query(const std::string& list, const Stamps& seen) {
  std::vector<std::string> parts;
  for (std::uint64_t i = 0, n = below(3); i < n; ++i) parts.push_back(filter(list, seen));
  if (chance(40)) {
    std::string sort = "_sort=";
    for (std::uint64_t i = 0, n = 1 + below(2); i < n; ++i) {
      if (i > 0) sort += ',';
      sort += (chance(50) ? "-" : "") + encoded(chance(15) ? "last_modified" : pick(kPaths));
    }
    parts.push_back(std::move(sort));
  }
  if (chance(40)) parts.push_back("_limit=" + std::to_string(1 + below(3)));
  if (chance(15)) parts.push_back("_fields=" + encoded(pick(kPaths)) + ",n");
  std::string out;
  for (const std::string& part : parts) out += (out.empty() ? "?" : "&") + part;
  return out;
}

void RequestScript::conditions(Step& step, const Stamps& seen) {
  if (chance(80)) return;
  std::string list = listOf(step.path, step.user);
  std::string value = chance(20) ? "*" : "\"" + time(list, seen) + "\"";
  step.headers.emplace_back(chance(60) ? "If-Match" : "If-None-Match", std::move(value));
}

// What the others need, made and made again.
Step RequestScript::foundation() {
  constexpr const char* kPlaces[] = {"/buckets/a", "/buckets/a/collections/c",
                                     "/buckets/a/collections/c", "/buckets/b",
                                     "/buckets/b/collections/c"};
  Step step;
  step.method = "PUT";
  step.user = "mat";
  step.path = pick(kPlaces);
  if (chance(40)) step.body = R"({"permissions":{"write":[")" + ids_.at("eve") + "\"]}}";
  if (step.path == "/buckets/b/collections/c" && chance(50)) {
    // A violation that shows a value would show its spelling.
    step.body =
        std::string(R"({"data":{"schema":{"required":[")") + (chance(50) ? "n" : "s") + R"("]}}})";
  }
  return step;
}

Step RequestScript::write(const Stamps& seen) {
  if (chance(20)) return foundation();
  Step step;
  step.user = user();
  std::uint64_t what = below(100);
  if (what < 45) {
    step.method = "PUT";
    step.path = object();
    if (chance(95)) step.body = "{\"data\":" + data(listOf(step.path, step.user), seen);
    if (!step.body.empty() && chance(25)) step.body += ",\"permissions\":" + permissions();
    if (!step.body.empty()) step.body += '}';
  } else if (what < 60) {
    step.method = "POST";
    std::string whole = object();
    std::size_t slash = whole.rfind('/');
    step.path = whole.substr(0, slash);
    std::string with_id = data(listOf(step.path, step.user), seen);
    with_id.insert(1, "\"id\":\"" + whole.substr(slash + 1) + (with_id == "{}" ? "\"" : "\","));
    step.body = "{\"data\":" + with_id + "}";
  } else if (what < 80) {
    step.method = "PATCH";
    step.path = object();
    step.body = patch(step, seen);
    if (chance(20)) step.headers.emplace_back("Response-Behavior", chance(50) ? "light" : "diff");
  } else if (what < 96) {
    step.method = "DELETE";
    // Of an object that holds others less often: there would be nothing left to ask for.
    do {
      step.path = object();
    } while (step.path.find("/records/") == step.path.npos && chance(70));
    if (chance(15)) step.path += "?last_modified=" + time(listOf(step.path, step.user), seen);
  } else {
    step.method = "DELETE";
    do {
      step.path = list();
    } while (!step.path.ends_with("/records") && chance(80));
    step.path += query(listOf(step.path, step.user), seen);
  }
  conditions(step, seen);
  return step;
}

Step RequestScript::read(const Stamps& seen) {
  Step step;
  step.user = user();
  step.method = chance(90) ? "GET" : "HEAD";
  std::uint64_t what = below(100);
  if (what < 20) {
    step.path = object();
  } else if (what < 30) {
    step.path = "@{next}";
  } else if (what < 36) {
    step.path = "/buckets/a/history";
    constexpr const char* kAsked[] = {"",
                                      "?action=update",
                                      "?resource_name=record&_limit=3",
                                      "?_sort=last_modified&_limit=2",
                                      "?record_id=r1",
                                      "?target.data.n=1",
                                      "?like_uri=*r1"};
    step.path += pick(kAsked);
  } else if (what < 40) {
    step.path = "/permissions?_limit=3";
  } else if (what < 44) {
    step.path =
        "/buckets/a/snapshot/collections/c@" + time("/buckets/a/collections/c/records", seen);
  } else {
    step.path = list();
    step.path += query(listOf(step.path, step.user), seen);
  }
  conditions(step, seen);
  return step;
}

Step RequestScript::single(const Stamps& seen) { return chance(55) ? write(seen) : read(seen); }

Step RequestScript::batch(const Stamps& seen) {
  Step step;
  step.method = "POST";
  step.path = "/batch";
  step.user = user();
  for (std::uint64_t i = 0, n = 1 + below(5); i < n; ++i) {
    Step item = single(seen);
    item.user = step.user;
    // A HEAD has no body to tell that it was cut off.
    step.items.push_back(std::move(item));
  }
  return step;
}

Step RequestScript::next(const Stamps& seen) { return chance(15) ? batch(seen) : single(seen); }

}  // namespace godwit::test
