#include "supervise/json.h"

#include <charconv>

#include "base/encoding.h"
#include "base/log.h"

namespace godwit::supervise {

void JsonWriter::separate() {
  if (!first_) out_ += ',';
  first_ = false;
}

JsonWriter& JsonWriter::beginObject() {
  separate();
  out_ += '{';
  first_ = true;
  return *this;
}
JsonWriter& JsonWriter::endObject() {
  out_ += '}';
  first_ = false;
  return *this;
}
JsonWriter& JsonWriter::beginArray() {
  separate();
  out_ += '[';
  first_ = true;
  return *this;
}
JsonWriter& JsonWriter::endArray() {
  out_ += ']';
  first_ = false;
  return *this;
}
JsonWriter& JsonWriter::key(std::string_view name) {
  separate();
  log::appendJsonString(out_, name);
  out_ += ':';
  first_ = true;
  return *this;
}
JsonWriter& JsonWriter::string(std::string_view v) {
  separate();
  log::appendJsonString(out_, v);
  return *this;
}
JsonWriter& JsonWriter::integer(std::int64_t v) {
  separate();
  out_ += std::to_string(v);
  return *this;
}
JsonWriter& JsonWriter::boolean(bool v) {
  separate();
  out_ += v ? "true" : "false";
  return *this;
}
JsonWriter& JsonWriter::null() {
  separate();
  out_ += "null";
  return *this;
}
JsonWriter& JsonWriter::raw(std::string_view json) {
  separate();
  out_ += json;
  return *this;
}

namespace {
const JsonValue kNullValue;
constexpr int kMaxDepth = 16;
}  // namespace

bool JsonValue::has(std::string_view name) const { return members_.find(name) != members_.end(); }
const JsonValue& JsonValue::at(std::string_view name) const {
  auto it = members_.find(name);
  return it == members_.end() ? kNullValue : it->second;
}
std::string JsonValue::str(std::string_view fallback) const {
  return kind_ == Kind::kString ? string_ : std::string(fallback);
}
std::int64_t JsonValue::num(std::int64_t fallback) const {
  if (kind_ == Kind::kInt) return int_;
  if (kind_ == Kind::kDouble && double_ > -9e18 && double_ < 9e18) {
    return static_cast<std::int64_t>(double_);
  }
  return fallback;
}
double JsonValue::real(double fallback) const {
  if (kind_ == Kind::kInt) return static_cast<double>(int_);
  return kind_ == Kind::kDouble ? double_ : fallback;
}
bool JsonValue::flag(bool fallback) const { return kind_ == Kind::kBool ? bool_ : fallback; }

class JsonReader {
 public:
  explicit JsonReader(std::string_view text) : p_(text.data()), end_(p_ + text.size()) {}

  bool document(JsonValue& out) {
    if (!value(out, 0)) return false;
    space();
    return p_ == end_;
  }

 private:
  void space() {
    while (p_ != end_ && (*p_ == ' ' || *p_ == '\t' || *p_ == '\n' || *p_ == '\r')) ++p_;
  }
  bool literal(std::string_view word) {
    if (static_cast<std::size_t>(end_ - p_) < word.size()) return false;
    if (std::string_view(p_, word.size()) != word) return false;
    p_ += word.size();
    return true;
  }
  bool take(char c) {
    space();
    if (p_ == end_ || *p_ != c) return false;
    ++p_;
    return true;
  }

  bool value(JsonValue& out, int depth) {
    if (depth > kMaxDepth) return false;
    space();
    if (p_ == end_) return false;
    switch (*p_) {
      case '{':
        return object(out, depth);
      case '[':
        return array(out, depth);
      case '"':
        out.kind_ = JsonValue::Kind::kString;
        return quoted(out.string_);
      case 't':
      case 'f':
        out.kind_ = JsonValue::Kind::kBool;
        out.bool_ = *p_ == 't';
        return literal(out.bool_ ? "true" : "false");
      case 'n':
        return literal("null");
      default:
        return number(out);
    }
  }

  bool object(JsonValue& out, int depth) {
    out.kind_ = JsonValue::Kind::kObject;
    ++p_;
    if (take('}')) return true;
    do {
      space();
      std::string name;
      if (p_ == end_ || *p_ != '"' || !quoted(name) || !take(':')) return false;
      JsonValue member;
      if (!value(member, depth + 1)) return false;
      out.members_[std::move(name)] = std::move(member);
    } while (take(','));
    return take('}');
  }

  bool array(JsonValue& out, int depth) {
    out.kind_ = JsonValue::Kind::kArray;
    ++p_;
    if (take(']')) return true;
    do {
      out.items_.emplace_back();
      if (!value(out.items_.back(), depth + 1)) return false;
    } while (take(','));
    return take(']');
  }

  bool number(JsonValue& out) {
    const char* start = p_;
    if (p_ != end_ && *p_ == '-') ++p_;
    const char* digits = p_;
    while (p_ != end_ && *p_ >= '0' && *p_ <= '9') ++p_;
    if (p_ == digits || (*digits == '0' && p_ - digits > 1)) return false;
    bool whole = true;
    if (p_ != end_ && *p_ == '.') {
      whole = false;
      const char* fraction = ++p_;
      while (p_ != end_ && *p_ >= '0' && *p_ <= '9') ++p_;
      if (p_ == fraction) return false;
    }
    if (p_ != end_ && (*p_ == 'e' || *p_ == 'E')) {
      whole = false;
      ++p_;
      if (p_ != end_ && (*p_ == '+' || *p_ == '-')) ++p_;
      const char* exponent = p_;
      while (p_ != end_ && *p_ >= '0' && *p_ <= '9') ++p_;
      if (p_ == exponent) return false;
    }
    if (whole) {
      out.kind_ = JsonValue::Kind::kInt;
      return std::from_chars(start, p_, out.int_).ec == std::errc();
    }
    out.kind_ = JsonValue::Kind::kDouble;
    out.double_ = decimal({start, static_cast<std::size_t>(p_ - start)});
    return true;
  }

  // Good to a few units in the last place: these are times and sizes for people. The exact
  // conversion would bring tables half as large as this whole program.
  static double decimal(std::string_view text) {
    bool negative = text.front() == '-';
    double v = 0;
    int scale = 0;
    bool fraction = false;
    std::size_t i = negative ? 1 : 0;
    for (; i < text.size() && text[i] != 'e' && text[i] != 'E'; ++i) {
      if (text[i] == '.') {
        fraction = true;
      } else {
        v = v * 10 + (text[i] - '0');
        if (fraction) --scale;
      }
    }
    if (i < text.size()) {
      ++i;
      bool down = text[i] == '-';
      if (text[i] == '-' || text[i] == '+') ++i;
      int exponent = 0;
      for (; i < text.size() && exponent < 10000; ++i) exponent = exponent * 10 + (text[i] - '0');
      scale += down ? -exponent : exponent;
    }
    for (; scale > 0 && v < 1e300; --scale) v *= 10;
    for (; scale < 0 && v > 0; ++scale) v /= 10;
    return negative ? -v : v;
  }

  bool hex4(std::uint32_t& out) {
    if (end_ - p_ < 4) return false;
    auto r = std::from_chars(p_, p_ + 4, out, 16);
    if (r.ec != std::errc() || r.ptr != p_ + 4) return false;
    p_ += 4;
    return true;
  }

  static void appendUtf8(std::string& out, std::uint32_t c) {
    auto put = [&](std::uint32_t b) { out += static_cast<char>(b); };
    if (c < 0x80) {
      put(c);
    } else if (c < 0x800) {
      put(0xc0 | c >> 6);
      put(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
      put(0xe0 | c >> 12);
      put(0x80 | (c >> 6 & 0x3f));
      put(0x80 | (c & 0x3f));
    } else {
      put(0xf0 | c >> 18);
      put(0x80 | (c >> 12 & 0x3f));
      put(0x80 | (c >> 6 & 0x3f));
      put(0x80 | (c & 0x3f));
    }
  }

  bool escape(std::string& out) {
    if (p_ == end_) return false;
    char c = *p_++;
    switch (c) {
      case '"':
      case '\\':
      case '/':
        out += c;
        return true;
      case 'b':
        out += '\b';
        return true;
      case 'f':
        out += '\f';
        return true;
      case 'n':
        out += '\n';
        return true;
      case 'r':
        out += '\r';
        return true;
      case 't':
        out += '\t';
        return true;
      case 'u':
        break;
      default:
        return false;
    }
    std::uint32_t code = 0;
    if (!hex4(code)) return false;
    if (code >= 0xd800 && code < 0xdc00) {
      std::uint32_t low = 0;
      if (!literal("\\u") || !hex4(low) || low < 0xdc00 || low > 0xdfff) return false;
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code >= 0xdc00 && code < 0xe000) {
      return false;
    }
    appendUtf8(out, code);
    return true;
  }

  bool quoted(std::string& out) {
    ++p_;
    while (p_ != end_) {
      char c = *p_++;
      if (c == '"') return isValidUtf8(out);
      if (static_cast<unsigned char>(c) < 0x20) return false;
      if (c != '\\') {
        out += c;
      } else if (!escape(out)) {
        return false;
      }
    }
    return false;
  }

  const char* p_;
  const char* end_;
};

Result<JsonValue> parseJson(std::string_view text) {
  JsonValue out;
  if (!JsonReader(text).document(out)) return Error(ErrorCode::kInvalid, "not a JSON value");
  return out;
}

}  // namespace godwit::supervise
