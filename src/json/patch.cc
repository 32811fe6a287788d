#include "json/patch.h"

#include <span>

#include "json/pointer.h"

namespace godwit::json {
namespace {

using detail::Pointer;

// A few hundred bytes of patch must not keep a thread busy or fill the memory.
constexpr std::size_t kMaxOperations = 10'000;
constexpr std::size_t kMaxDepth = 128;
constexpr std::size_t kMaxTouched = 20'000'000;       // values compared, walked or shifted
constexpr std::size_t kMaxCopied = 64 * 1024 * 1024;  // bytes

Error invalid(std::string why) { return Error(ErrorCode::kInvalid, std::move(why)); }
Error tooMuch(std::string why) { return Error(ErrorCode::kLimit, std::move(why)); }

struct Weight {
  std::size_t values = 0;
  std::size_t bytes = 0;
  std::size_t depth = 0;
};

void weigh(const Value& v, std::size_t level, Weight& w) {
  ++w.values;
  w.bytes += sizeof(Value);
  if (v.isString()) w.bytes += v.asString().size();
  if (v.isNumber()) w.bytes += v.numberText().size();
  if (!v.isArray() && !v.isObject()) return;
  w.depth = std::max(w.depth, level + 1);
  if (v.isArray()) {
    for (const Value& x : v.asArray()) weigh(x, level + 1, w);
  } else {
    for (const auto& [key, x] : v.asObject()) {
      w.bytes += sizeof(std::string) + key.size();
      weigh(x, level + 1, w);
    }
  }
}

Weight weightOf(const Value& v) {
  Weight w;
  weigh(v, 0, w);
  return w;
}

class Patcher {
 public:
  explicit Patcher(Value document) : doc_(std::move(document)) {}

  Result<void> apply(const Value& op) {
    auto name = text(op, "op");
    if (!name.ok()) return std::move(name).error();
    auto path = pointer(op, "path");
    if (!path.ok()) return std::move(path).error();
    if (**name == "remove") {
      auto taken = remove(*path);
      if (!taken.ok()) return std::move(taken).error();
      return {};
    }
    if (**name == "move" || **name == "copy") return transfer(**name == "move", op, *path);
    const Value* value = op.get("value");
    bool known = **name == "add" || **name == "replace" || **name == "test";
    if (!known) return invalid("unknown operation '" + (*name)->substr(0, 32) + "'");
    if (value == nullptr) return invalid("member 'value' is missing");
    if (**name == "test") return test(*path, *value);
    if (auto r = charge(weightOf(*value), path->size(), true); !r.ok()) return r;
    if (**name == "add") return add(*path, *value);
    auto target = find(*path);
    if (!target.ok()) return std::move(target).error();
    **target = *value;
    return {};
  }

  Value take() { return std::move(doc_); }

 private:
  static Result<const std::string*> text(const Value& op, std::string_view member) {
    const Value* v = op.get(member);
    if (v == nullptr) return invalid("member '" + std::string(member) + "' is missing");
    if (!v->isString()) return invalid("member '" + std::string(member) + "' is not a string");
    return &v->asString();
  }

  static Result<Pointer> pointer(const Value& op, std::string_view member) {
    auto t = text(op, member);
    if (!t.ok()) return std::move(t).error();
    return detail::parsePointer(**t);
  }

  Result<void> charge(const Weight& w, std::size_t path_length, bool copied) {
    if (path_length + w.depth > kMaxDepth) return tooMuch("the result is nested too deep");
    if (copied) copied_ += w.bytes;
    if (copied_ > kMaxCopied) return tooMuch("the result is too large");
    return touch(w.values);
  }
  Result<void> touch(std::size_t values) {
    touched_ += values;
    if (touched_ > kMaxTouched) return tooMuch("the patch is too much work");
    return {};
  }

  // Where `tokens` lead.
  Result<Value*> find(std::span<const std::string> tokens) {
    Value* v = &doc_;
    for (const std::string& token : tokens) {
      if (v->isArray()) {
        auto i = detail::arrayIndex(token);
        if (!i) return invalid("'" + token.substr(0, 64) + "' is not an array index");
        if (*i >= v->asArray().size()) return invalid("array index is out of bounds");
        v = &v->asArray()[*i];
      } else {
        v = v->get(token);
        if (v == nullptr) return invalid("member '" + token.substr(0, 64) + "' does not exist");
      }
    }
    return v;
  }

  Result<Value*> findParent(const Pointer& path) {
    return find(std::span<const std::string>(path).first(path.size() - 1));
  }

  Result<void> add(const Pointer& path, Value value) {
    if (path.empty()) {
      doc_ = std::move(value);
      return {};
    }
    auto parent = findParent(path);
    if (!parent.ok()) return std::move(parent).error();
    if ((*parent)->isObject()) {
      (*parent)->asObject().set(path.back(), std::move(value));
      return {};
    }
    if (!(*parent)->isArray()) return invalid("the parent is neither object nor array");
    Array& array = (*parent)->asArray();
    auto i = path.back() == "-" ? array.size() : detail::arrayIndex(path.back());
    if (!i) return invalid("'" + path.back().substr(0, 64) + "' is not an array index");
    if (*i > array.size()) return invalid("array index is out of bounds");
    GODWIT_TRY(touch(array.size() - *i));
    array.insert(array.begin() + static_cast<std::ptrdiff_t>(*i), std::move(value));
    return {};
  }

  Result<Value> remove(const Pointer& path) {
    auto target = find(path);
    if (!target.ok()) return std::move(target).error();
    Value taken = std::move(**target);
    if (path.empty()) return taken;
    Value* parent = *findParent(path);
    if (parent->isObject()) {
      GODWIT_TRY(touch(parent->asObject().size()));
      parent->asObject().erase(path.back());
    } else {
      Array& array = parent->asArray();
      std::size_t i = *detail::arrayIndex(path.back());
      GODWIT_TRY(touch(array.size() - i));
      array.erase(array.begin() + static_cast<std::ptrdiff_t>(i));
    }
    return taken;
  }

  Result<void> test(const Pointer& path, const Value& expected) {
    auto target = find(path);
    if (!target.ok()) return std::move(target).error();
    GODWIT_TRY(touch(weightOf(expected).values));
    if (**target == expected) return {};
    return invalid("the value differs");
  }

  Result<void> transfer(bool move, const Value& op, const Pointer& path) {
    auto from = pointer(op, "from");
    if (!from.ok()) return std::move(from).error();
    auto source = find(*from);
    if (!source.ok()) return std::move(source).error();
    if (auto r = charge(weightOf(**source), path.size(), !move); !r.ok()) return r;
    if (!move) return add(path, Value(**source));
    if (*from == path) return {};
    bool inside =
        path.size() > from->size() && std::equal(from->begin(), from->end(), path.begin());
    if (inside) return invalid("a value cannot be moved into itself");
    auto taken = remove(*from);
    if (!taken.ok()) return std::move(taken).error();
    return add(path, std::move(*taken));
  }

  Value doc_;
  std::size_t touched_ = 0;
  std::size_t copied_ = 0;
};

}  // namespace

Result<Value> applyPatch(Value document, const Value& ops) {
  if (!ops.isArray()) return invalid("a patch is an array of operations");
  if (ops.asArray().size() > kMaxOperations) {
    return tooMuch("a patch has at most " + std::to_string(kMaxOperations) + " operations");
  }
  Patcher patcher(std::move(document));
  std::size_t number = 0;
  for (const Value& op : ops.asArray()) {
    auto failed = [&](Error e) {
      e.message = "operation " + std::to_string(number) + ": " + e.message;
      return e;
    };
    if (!op.isObject()) return failed(invalid("is not an object"));
    if (auto r = patcher.apply(op); !r.ok()) return failed(std::move(r).error());
    ++number;
  }
  return patcher.take();
}

}  // namespace godwit::json
