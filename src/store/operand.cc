#include "store/operand.h"

#include <algorithm>

namespace godwit::store {
namespace {

bool hasEscape(std::string_view raw) { return raw.find('\\') != std::string_view::npos; }

int sign(int v) { return v < 0 ? -1 : (v > 0 ? 1 : 0); }

json::Value parsed(std::string_view raw) {
  auto v = json::parse(raw);
  return v.ok() ? std::move(*v) : json::Value();  // stored text was validated when it came in
}

// jsonb prints ", " and ": ", orders keys by length and then bytes, and keeps UTF-8.
void appendJsonbText(std::string& out, const json::Value& v);

void appendQuoted(std::string& out, std::string_view s) {
  constexpr char kHex[] = "0123456789abcdef";
  out.push_back('"');
  for (char c : s) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          out += "\\u00";
          out.push_back(kHex[static_cast<unsigned char>(c) >> 4]);
          out.push_back(kHex[c & 0xF]);
        } else {
          out.push_back(c);
        }
    }
  }
  out.push_back('"');
}

void appendJsonbText(std::string& out, const json::Value& v) {
  if (v.isString()) {
    appendQuoted(out, v.asString());
  } else if (v.isArray()) {
    out.push_back('[');
    bool first = true;
    for (const json::Value& e : v.asArray()) {
      if (!first) out += ", ";
      first = false;
      appendJsonbText(out, e);
    }
    out.push_back(']');
  } else if (v.isObject()) {
    std::vector<const json::Object::Member*> members;
    for (const auto& m : v.asObject()) members.push_back(&m);
    std::sort(members.begin(), members.end(), [](const auto* a, const auto* b) {
      if (a->first.size() != b->first.size()) return a->first.size() < b->first.size();
      return a->first < b->first;
    });
    out.push_back('{');
    bool first = true;
    for (const auto* m : members) {
      if (!first) out += ", ";
      first = false;
      appendQuoted(out, m->first);
      out += ": ";
      appendJsonbText(out, m->second);
    }
    out.push_back('}');
  } else {
    json::dumpTo(out, v);
  }
}

}  // namespace

json::Kind rawKind(std::string_view raw) {
  switch (raw.empty() ? 'n' : raw.front()) {
    case '{':
      return json::Kind::kObject;
    case '[':
      return json::Kind::kArray;
    case '"':
      return json::Kind::kString;
    case 't':
    case 'f':
      return json::Kind::kBool;
    case 'n':
      return json::Kind::kNull;
    default:
      return json::Kind::kNumber;
  }
}

std::optional<std::int64_t> shortInteger(std::string_view raw) {
  bool negative = !raw.empty() && raw.front() == '-';
  std::string_view digits = raw.substr(negative ? 1 : 0);
  if (digits.empty() || digits.size() > 18) return std::nullopt;
  std::int64_t n = 0;
  for (char c : digits) {
    if (c < '0' || c > '9') return std::nullopt;
    n = n * 10 + (c - '0');
  }
  return negative ? -n : n;
}

std::optional<std::string> rawAsText(std::string_view raw) {
  switch (rawKind(raw)) {
    case json::Kind::kNull:
      return std::nullopt;
    case json::Kind::kString:
      if (!hasEscape(raw)) return std::string(raw.substr(1, raw.size() - 2));
      return parsed(raw).asString();
    case json::Kind::kNumber:
    case json::Kind::kBool:
      return std::string(raw);
    default:
      break;
  }
  std::string out;
  appendJsonbText(out, parsed(raw));
  return out;
}

Operand::Operand(json::Value value) : value_(std::move(value)), text_(json::dump(value_)) {
  if (value_.isString()) plain_ = !hasEscape(text_);
  if (value_.isNumber()) {
    auto n = shortInteger(text_);
    plain_ = n.has_value();
    integer_ = n.value_or(0);
  }
}

bool Operand::equals(std::string_view raw) const {
  if (raw == text_) return true;
  if (rawKind(raw) != value_.kind()) return false;
  return compare(raw) == 0;
}

int Operand::compare(std::string_view raw) const {
  json::Kind kind = rawKind(raw);
  // An empty array comes before everything else, which json::compare knows.
  if (raw == "[]" || text_ == "[]") return json::compare(parsed(raw), value_);
  // Kind is declared in jsonb's order.
  if (kind != value_.kind()) return kind < value_.kind() ? -1 : 1;
  switch (kind) {
    case json::Kind::kNull:
      return 0;
    case json::Kind::kBool:
      return (raw.front() == 't') - (value_.asBool() ? 1 : 0);
    case json::Kind::kString:
      if (plain_ && !hasEscape(raw)) {
        return sign(raw.substr(1, raw.size() - 2)
                        .compare(std::string_view(text_).substr(1, text_.size() - 2)));
      }
      break;
    case json::Kind::kNumber:
      if (plain_) {
        if (auto n = shortInteger(raw)) return *n < integer_ ? -1 : (*n > integer_ ? 1 : 0);
      }
      break;
    default:
      break;
  }
  return json::compare(parsed(raw), value_);
}

}  // namespace godwit::store
