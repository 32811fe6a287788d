#pragma once

#include <string_view>

#include "godwit/result.h"

namespace godwit::store::postgresql {

// Can jsonb hold this (valid) JSON text? kInvalid when a string has \u0000 or a number is beyond
// numeric. Asked before a statement is sent, since a refusal by the server would end the whole
// transaction, and with it a batch.
Result<void> checkStorable(std::string_view json);

}  // namespace godwit::store::postgresql
