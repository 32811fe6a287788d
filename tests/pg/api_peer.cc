#include "api_peer.h"

#include <algorithm>
#include <charconv>

namespace godwit::test {
namespace {

std::string pathOf(const Step& step) { return step.path.substr(0, step.path.find('?')); }

std::string batchOf(const Step& step) {
  std::string out = "{\"requests\":[";
  for (const Step& item : step.items) {
    if (out.back() != '[') out += ',';
    out += R"({"method":")" + item.method + R"(","path":)";
    json::dumpString(out, item.path);
    out += ",\"headers\":{";
    for (const auto& [name, value] : item.headers) {
      if (out.back() != '{') out += ',';
      json::dumpString(out, name);
      out += ':';
      json::dumpString(out, value);
    }
    out += '}';
    if (!item.body.empty()) out += ",\"body\":" + item.body;
    out += '}';
  }
  return out + "]}";
}

// What a batch tells of one of its requests, as if it had been alone.
kinto::Seen seenOf(const json::Value& response) {
  kinto::Seen seen;
  seen.status = static_cast<int>(response.get("status")->toInt().value_or(0));
  seen.body = json::dump(*response.get("body"));
  for (const auto& [name, value] : response.get("headers")->asObject()) {
    seen.headers += name + ": " + value.asString() + "\r\n";
  }
  return seen;
}

}  // namespace

std::string ApiPeer::resolve(std::string_view text) const {
  std::string out;
  for (std::size_t at = text.find("@{"); at != text.npos; at = text.find("@{")) {
    std::size_t end = text.find('}', at);
    std::string_view name = text.substr(at + 2, end - at - 2);
    out += text.substr(0, at);
    text.remove_prefix(end + 1);
    if (name == "next") {
      out += next_;
      continue;
    }
    std::size_t mark = name.rfind('#');
    std::string list(name.substr(0, mark));
    std::size_t index = 0;
    std::from_chars(name.data() + mark + 1, name.data() + name.size(), index);
    out += index < stamps_.count(list) ? stamps_.at(list, index) : "1";
  }
  return out.append(text);
}

Step ApiPeer::resolve(const Step& step) const {
  Step out = step;
  out.path = resolve(step.path);
  out.body = resolve(step.body);
  for (auto& header : out.headers) header.second = resolve(header.second);
  for (Step& item : out.items) item = resolve(item);
  return out;
}

std::string ApiPeer::judge(const Step& step, const kinto::Seen& seen) {
  std::string form = normalForm(seen, listOf(step.path, step.user), stamps_);
  if (std::string next = seen.header("Next-Page"); !next.empty()) {
    next_ = next.substr(next.find("/v1/") + 3);
  }
  std::string path = pathOf(step);
  bool records = path.find("/records") != path.npos;
  if (step.method == "DELETE" && seen.status == 200 && !records) stamps_.forgetBelow(path);
  return form;
}

std::string ApiPeer::judgeItems(const Step& step, const kinto::Seen& seen) {
  json::Value body = seen.json();
  const json::Value* responses = body.get("responses");
  if (!responses || responses->asArray().size() != step.items.size()) return judge(step, seen);
  std::string out = std::to_string(seen.status) + "\n";
  for (std::size_t i = 0; i < step.items.size(); ++i) {
    out += "- " + judge(step.items[i], seenOf(responses->asArray()[i])) + "\n";
  }
  return out;
}

std::string ApiPeer::ask(const Step& step) {
  kinto::TestApp& node = *nodes_[turn_++ % nodes_.size()];
  Step asked = resolve(step);
  if (!asked.items.empty()) asked.body = batchOf(asked);
  kinto::Seen seen = node.send(asked.method, asked.path, asked.user, asked.body, asked.headers);
  return asked.items.empty() ? judge(asked, seen) : judgeItems(asked, seen);
}

}  // namespace godwit::test
