#pragma once

#include "godwit/result.h"
#include "json/value.h"

namespace godwit::json {

// RFC 6902. `ops` must be an array of operations; all or nothing. Errors say which operation
// failed, by its index: kInvalid, or kLimit when the patch has too many operations or would take
// too much memory, depth or work.
Result<Value> applyPatch(Value document, const Value& ops);

// RFC 7396.
Value applyMergePatch(Value target, const Value& patch);

// RFC 6901; nullptr when the pointer leads nowhere. `pointer` is "" or starts with '/'.
const Value* resolvePointer(const Value& document, std::string_view pointer);

}  // namespace godwit::json
