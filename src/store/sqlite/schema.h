#pragma once

#include "godwit/result.h"
#include "store/sqlite/connection.h"

namespace godwit::store::sqlite {

constexpr int kSchemaVersion = 1;
constexpr int kApplicationId = 0x474F4457;  // "GODW", at offset 68 of the file

// Creates the tables in an empty database, or checks that they are ours and of a version we know.
// kInvalid: another program's database. kUnsupported: a newer version. Under the writer lock.
Result<void> prepareSchema(Connection& connection);

}  // namespace godwit::store::sqlite
