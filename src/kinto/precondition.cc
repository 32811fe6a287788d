#include "kinto/precondition.h"

#include <limits>

#include "base/text.h"
#include "kinto/text.h"

namespace godwit::kinto {

Precondition parsePrecondition(std::string_view name, std::string_view value,
                               std::vector<Problem>& problems) {
  Precondition out;
  if (value == "*") {
    out.kind = Precondition::Kind::kStar;
  } else if (value.size() > 2 && value.front() == '"' && value.back() == '"' &&
             isDigits(value.substr(1, value.size() - 2))) {
    out.kind = Precondition::Kind::kTimestamp;
    // Digits that do not fit are a timestamp nothing has.
    out.timestamp =
        toInt(value.substr(1, value.size() - 2)).value_or(std::numeric_limits<std::int64_t>::max());
  } else {
    problems.emplace_back("header", std::string(name),
                          "The value should be integer between double quotes.");
  }
  return out;
}

}  // namespace godwit::kinto
