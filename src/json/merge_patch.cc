#include "json/patch.h"

namespace godwit::json {

Value applyMergePatch(Value target, const Value& patch) {
  if (!patch.isObject()) return patch;
  if (!target.isObject()) target = Value::object();
  Object& members = target.asObject();
  bool removes = false;
  for (const auto& [key, change] : patch.asObject()) {
    if (change.isNull()) {
      removes = true;
      continue;
    }
    Value* old = members.find(key);
    Value merged = applyMergePatch(old != nullptr ? std::move(*old) : Value(), change);
    if (old != nullptr) {
      *old = std::move(merged);
    } else {
      members.set(key, std::move(merged));
    }
  }
  if (removes) {
    members.eraseIf([&patch](const Object::Member& m) {
      const Value* change = patch.get(m.first);
      return change != nullptr && change->isNull();
    });
  }
  return target;
}

}  // namespace godwit::json
