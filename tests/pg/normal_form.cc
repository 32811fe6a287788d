#include "normal_form.h"

#include <algorithm>
#include <cctype>

#include "base/encoding.h"
#include "base/text.h"
#include "store/comparable.h"

namespace godwit::test {
namespace {

using json::Value;

// Thirteen digits in a row are a time.
std::string withoutTimes(std::string_view text) {
  std::string out;
  std::size_t at = 0;
  while (at < text.size()) {
    std::size_t end = at;
    while (end < text.size() && isDigit(text[end])) ++end;
    if (end - at == 13) {
      out += "TIME";
    } else {
      out += text.substr(at, end - at);
    }
    if (end < text.size()) out += text[end++];
    at = end;
  }
  return out;
}

bool isUuid(std::string_view s) {
  return s.size() == 36 && s[8] == '-' && s[13] == '-' && s[14] == '4' && s[18] == '-';
}

// What store::comparable makes of a number, which it tells apart by value alone.
std::string numberForm(const Value& number) {
  store::Object object;
  object.data = json::dump(number);
  std::string text = store::comparable(object);
  return text.substr(text.find('+') + 1);
}

class Writer {
 public:
  Writer(Stamps& stamps, std::string list) : stamps_(stamps), list_(std::move(list)) {}

  std::string take(const Value& v) {
    write(v, "");
    return std::move(out_);
  }

 private:
  void write(const Value& v, std::string_view name) {
    if (v.isObject()) {
      object(v, name);
    } else if (v.isArray()) {
      array(v);
    } else if (v.isNumber() && name == "last_modified") {
      out_ += stamps_.nameOf(list_, v.numberText());
    } else if (v.isNumber() && name == "schema") {
      // The time of the collection that a record was held against.
      std::string records = list_.substr(0, list_.rfind('/'));
      out_ += stamps_.nameOf(records.substr(0, records.rfind('/')), v.numberText());
    } else if (v.isNumber()) {
      out_ += numberForm(v);
    } else if (v.isString() && name == "date") {
      out_ += "DATE";
    } else if (v.isString()) {
      json::dumpString(out_, isUuid(v.asString()) ? "UUID" : withoutTimes(v.asString()));
    } else {
      json::dumpTo(out_, v);
    }
  }

  void object(const Value& v, std::string_view name) {
    std::map<std::string_view, const Value*> sorted;
    for (const auto& [key, value] : v.asObject()) sorted[key] = &value;
    const std::string outer = list_;
    const Value* uri = v.get("uri");
    out_ += '{';
    for (const auto& [key, value] : sorted) {
      json::dumpString(out_, key);
      out_ += ':';
      // An entry of the history shows an object of another list.
      if (key == "target" && uri && uri->isString()) list_ = listOf(uri->asString(), "");
      if (name == "permissions" && value->isArray()) {
        principals(*value);
      } else {
        write(*value, key);
      }
      list_ = outer;
      out_ += ',';
    }
    out_ += '}';
  }

  void array(const Value& v) {
    out_ += '[';
    for (const Value& each : v.asArray()) {
      out_ += "\n  ";
      write(each, "");
    }
    out_ += ']';
  }

  // A set.
  void principals(const Value& v) {
    std::vector<std::string> names;
    for (const Value& each : v.asArray()) names.push_back(json::dump(each));
    std::sort(names.begin(), names.end());
    for (const std::string& name : names) out_ += name + ' ';
  }

  Stamps& stamps_;
  std::string list_;
  std::string out_;
};

std::string headerForm(std::string_view name, std::string_view value, const std::string& list,
                       Stamps& stamps) {
  // What is computed for who asks is as old as the question.
  if (equalIgnoreCase(name, "ETag") && list == "/permissions") return "NOW";
  if (equalIgnoreCase(name, "ETag")) {
    return stamps.nameOf(list, std::string(value.substr(1, value.size() - 2)));
  }
  // Of a number's or an object's spelling.
  if (equalIgnoreCase(name, "Content-Length")) return "";
  if (equalIgnoreCase(name, "Last-Modified") || equalIgnoreCase(name, "Expires")) return "DATE";
  if (equalIgnoreCase(name, "Next-Page")) {
    std::string_view place = value.substr(0, value.find("_token"));
    return withoutTimes(percentDecode(place).value_or("not a place"));
  }
  return withoutTimes(value);
}

}  // namespace

std::string Stamps::nameOf(const std::string& list, const std::string& time) {
  auto& seen = lists_[list];
  auto it = std::find(seen.begin(), seen.end(), time);
  if (it == seen.end()) it = seen.insert(seen.end(), time);
  return "t" + std::to_string(it - seen.begin());
}

std::size_t Stamps::count(const std::string& list) const {
  auto it = lists_.find(list);
  return it == lists_.end() ? 0 : it->second.size();
}

const std::string& Stamps::at(const std::string& list, std::size_t at) const {
  return lists_.at(list)[at];
}

void Stamps::forgetBelow(const std::string& uri) {
  std::erase_if(lists_, [&](const auto& each) { return each.first.starts_with(uri + "/"); });
}

std::string listOf(std::string_view path, std::string_view user) {
  path = path.substr(0, path.find_first_of("?@"));
  std::string list(path);
  constexpr std::string_view kSnapshot = "/snapshot";
  if (std::size_t at = list.find(kSnapshot); at != list.npos) {
    list = list.erase(at, kSnapshot.size()) + "/records";
  }
  auto slashes = std::count(list.begin(), list.end(), '/');
  if (slashes > 0 && slashes % 2 == 0) list.erase(list.rfind('/'));
  if (list.starts_with("/buckets/default/")) list += "?" + std::string(user);
  return list;
}

std::string normalForm(const Value& value, const std::string& list, Stamps& stamps) {
  return Writer(stamps, list).take(value);
}

std::string normalForm(const kinto::Seen& seen, const std::string& list, Stamps& stamps) {
  std::string out = std::to_string(seen.status) + "\n";
  std::vector<std::string> headers;
  std::string_view rest = seen.headers;
  while (!rest.empty()) {
    std::size_t end = rest.find("\r\n");
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end + 2);
    std::size_t colon = line.find(": ");
    std::string name(line.substr(0, colon));
    // The time that a refusal shows of a list without one was taken back with all it did.
    bool settled = seen.status < 300 || !equalIgnoreCase(name, "ETag");
    std::string value =
        settled ? headerForm(name, line.substr(colon + 2), list, stamps) : std::string("TIME");
    headers.push_back(name + ": " + value);
  }
  std::sort(headers.begin(), headers.end());
  for (const std::string& header : headers) out += header + "\n";
  auto body = json::parse(seen.body);
  return out + (body.ok() ? normalForm(*body, list, stamps) : seen.body);
}

}  // namespace godwit::test
