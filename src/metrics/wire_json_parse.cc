#include <cmath>
#include <utility>
#include <vector>

#include "base/encoding.h"
#include "metrics/json_cursor.h"
#include "metrics/time_format.h"
#include "metrics/wire_json.h"

namespace godwit::metrics {
namespace {

class WireParser {
 public:
  WireParser(std::string_view text, Metrics& out) : in_(text), out_(out) {}

  Result<void> run() {
    document();
    if (in_.ok() && !in_.atEnd()) in_.fail("text after the message");
    if (in_.ok() && !(seen_ & kDims)) in_.fail("dimensions are missing");
    if (in_.ok() && !(seen_ & kCounters)) in_.fail("counters are missing");
    if (in_.ok() && !(seen_ & kTimers)) in_.fail("timers are missing");
    if (in_.ok()) stampAll();
    if (!in_.ok()) return Error(ErrorCode::kInvalid, std::string(in_.error()));
    return {};
  }

 private:
  enum Seen : unsigned { kDims = 1, kCounters = 2, kTimers = 4 };

  void document() {
    std::string_view key;
    if (!in_.enter('{')) return;
    while (in_.key(key)) {
      if (key == "dimensions") {
        seen_ |= kDims;
        out_.dims.clear();
        dimensions();
      } else if (key == "counters") {
        seen_ |= kCounters;
        samples(Kind::Counter, out_.counters, counter_stamps_);
      } else if (key == "timers") {
        seen_ |= kTimers;
        samples(Kind::Timer, out_.timers, timer_stamps_);
      } else if (key == "timestamp_format") {
        in_.string(out_.timestamp_format);
      } else if (key == "serialized_at") {
        if (in_.peek() == 'n') {
          in_.null();
          out_.serialized_at.reset();
        } else {
          in_.string(out_.serialized_at.emplace());
        }
      } else {
        in_.skip();
      }
    }
  }

  void dimensions() {
    std::string_view key;
    if (!in_.enter('[')) return;
    while (in_.element()) {
      auto& [name, value] = out_.dims.emplace_back();
      bool named = false;
      bool valued = false;
      if (!in_.enter('{')) return;
      while (in_.key(key)) {
        if (key == "name") {
          named = in_.string(name);
        } else if (key == "value") {
          valued = dimensionValue(value);
        } else {
          in_.skip();
        }
      }
      if (in_.ok() && !(named && valued)) in_.fail("a dimension lacks name or value");
    }
  }

  // Text as Python's str() would make it of a scalar; null is no value, hence the empty one.
  bool dimensionValue(std::string& value) {
    JsonCursor::Number n;
    bool b = false;
    switch (in_.peek()) {
      case '"':
        return in_.string(value);
      case 't':
      case 'f':
        if (!in_.boolean(b)) return false;
        value = b ? "True" : "False";
        return true;
      case 'n':
        value.clear();
        return in_.null();
      default:
        if (!in_.number(n)) return false;
        value.clear();
        if (n.is_int) {
          value = std::to_string(n.i);
        } else {
          appendPythonFloat(value, n.d);
        }
        return true;
    }
  }

  void samples(Kind kind, std::vector<Sample>& list, std::vector<std::string>& stamps) {
    list.clear();
    stamps.clear();
    if (!in_.enter('[')) return;
    while (in_.element()) {
      Sample& s = list.emplace_back();
      s.kind = kind;
      s.explicit_ts = true;
      sample(s, stamps.emplace_back());
    }
  }

  void sample(Sample& s, std::string& stamp) {
    enum : unsigned { kName = 1, kValue = 2, kStamp = 4, kUnit = 8 };
    unsigned seen = 0;
    if (s.kind != Kind::Timer) seen = kUnit;
    std::string_view key;
    if (!in_.enter('{')) return;
    while (in_.key(key)) {
      if (key == "name") {
        in_.string(s.name);
        seen |= kName;
      } else if (key == "value") {
        finite(s.value);
        seen |= kValue;
      } else if (key == "timestamp") {
        in_.string(stamp);
        seen |= kStamp;
      } else if (key == "metadata") {
        metadata(s.meta);
      } else if (key == "unit" && s.kind == Kind::Timer) {
        unit(s.unit);
        seen |= kUnit;
      } else {
        in_.skip();
      }
    }
    if (in_.ok() && seen != (kName | kValue | kStamp | kUnit)) {
      in_.fail("a metric lacks name, value, timestamp or unit");
    }
  }

  void finite(double& out) {
    JsonCursor::Number n;
    if (!in_.number(n)) return;
    if (!std::isfinite(n.d)) in_.fail("a value is not finite");
    out = n.d;
  }

  void unit(Unit& u) {
    std::string_view key;
    bool offset = false;
    if (!in_.enter('{')) return;
    while (in_.key(key)) {
      if (key == "name") {
        in_.string(u.name);
      } else if (key == "seconds_offset") {
        JsonCursor::Number n;
        offset = in_.number(n);
        u.per_second = n.d;
        u.integral = n.is_int;
      } else {
        in_.skip();
      }
    }
    if (!in_.ok()) return;
    // A number divided by the offset must be a time.
    if (!offset || u.name.empty() || !std::isfinite(u.per_second) || u.per_second == 0) {
      in_.fail("a unit lacks name or offset");
    }
  }

  void metadata(Meta& meta) {
    meta.clear();
    if (in_.peek() == 'n') {
      in_.null();
      return;
    }
    std::string_view key;
    if (!in_.enter('{')) return;
    while (in_.key(key)) {
      MetaValue* value = nullptr;
      for (auto& [k, v] : meta) {
        if (k == key) value = &v;  // the last one of equal keys counts, at the first one's place
      }
      if (!value) value = &meta.emplace_back(std::string(key), MetaValue{}).second;
      scalar(*value);
      if (meta.size() > kMaxMeta) in_.fail("too much metadata");
    }
  }

  void scalar(MetaValue& out) {
    JsonCursor::Number n;
    bool b = false;
    switch (in_.peek()) {
      case '"':
        in_.string(out.emplace<std::string>());
        break;
      case 't':
      case 'f':
        if (in_.boolean(b)) out = b;
        break;
      case 'n':
        in_.null();
        out = std::monostate{};
        break;
      default:
        if (!in_.number(n)) return;
        if (n.is_int) {
          out = n.i;
        } else if (std::isfinite(n.d)) {
          out = n.d;
        } else {
          in_.fail("metadata is not finite");
        }
    }
  }

  // Only now the format is known for sure: it comes last on the wire.
  void stampAll() {
    for (std::size_t i = 0; i < out_.counters.size(); ++i) {
      stampOne(out_.counters[i], counter_stamps_[i]);
    }
    for (std::size_t i = 0; i < out_.timers.size(); ++i) stampOne(out_.timers[i], timer_stamps_[i]);
  }
  void stampOne(Sample& s, std::string_view text) {
    if (const auto t = parseTime(out_.timestamp_format, text)) {
      s.ts = *t;
    } else {
      in_.fail("a timestamp does not match its format");
    }
  }

  // Equal keys are found by looking at all of them, so their number is bounded.
  static constexpr std::size_t kMaxMeta = 256;

  JsonCursor in_;
  Metrics& out_;
  unsigned seen_ = 0;
  std::vector<std::string> counter_stamps_;
  std::vector<std::string> timer_stamps_;
};

}  // namespace

Result<void> parseWireJson(std::string_view text, Metrics& out) {
  out.dims.clear();
  out.counters.clear();
  out.timers.clear();
  out.extra.clear();
  out.timestamp_format = kDefaultTimestampFormat;
  out.serialized_at.reset();
  if (!isValidUtf8(text)) return Error(ErrorCode::kInvalid, "the message is not UTF-8");
  return WireParser(text, out).run();
}

}  // namespace godwit::metrics
