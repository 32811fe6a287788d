#pragma once

#include <string>
#include <string_view>

#include "ops/source.h"

// The lines of an export (docs/formats/export.md).
namespace godwit::ops {

void appendRow(std::string& out, const Row& row);         // without the line end
void appendListLine(std::string& out, const List& list);  // {"list":{...}}

// One line, understood.
struct Line {
  enum class Kind : std::uint8_t { kHeader, kList, kRow, kEnd, kFinish };
  Kind kind = Kind::kRow;
  Row row;                  // kRow
  List list;                // kList; of kEnd the timestamp
  std::uint64_t rows = 0;   // kEnd, kFinish
  std::uint32_t crc = 0;    // kEnd
  std::string from;         // kHeader
  bool permissions = true;  // kHeader
};
// kInvalid when it is none of ours. Without `with_data` a row's data is checked but not kept.
Result<Line> parseLine(std::string_view text, bool with_data = true);

// {"read":["principal"]}; false when it is none. Sorted.
bool readPermissions(const json::Value& from, store::Permissions& out);
// In the order of their names, each principal once, none without principals.
void sortPermissions(store::Permissions& permissions);

}  // namespace godwit::ops
