#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "kinto/answer.h"

namespace godwit::kinto {

// An If-Match or If-None-Match header: absent, "*", or one quoted timestamp.
struct Precondition {
  enum class Kind : std::uint8_t { kAbsent, kStar, kTimestamp };
  Kind kind = Kind::kAbsent;
  std::int64_t timestamp = 0;

  [[nodiscard]] bool absent() const { return kind == Kind::kAbsent; }
  [[nodiscard]] bool star() const { return kind == Kind::kStar; }
};

// Adds a problem when the value is malformed.
Precondition parsePrecondition(std::string_view name, std::string_view value,
                               std::vector<Problem>& problems);

}  // namespace godwit::kinto
