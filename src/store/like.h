#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace godwit::store {

// The like_ filter: PostgreSQL's ILIKE on a pattern whose '*' stand for '%'. So '%' is any run of
// characters too, '_' one character, '\' takes the next character literally; letters match without
// regard to case. UTF-8. Immutable, any thread.
class Like {
 public:
  explicit Like(std::string_view pattern);
  [[nodiscard]] bool matches(std::string_view text) const;

 private:
  // Literal text between two wildcards; kAny stands for '_'.
  struct Piece {
    std::string text;  // lower case
    bool has_any = false;
  };
  static constexpr char kAny = '\xFF';  // never part of UTF-8

  std::vector<Piece> pieces_;  // joined by "any run"; the first and last are anchored
};

// Lower case of UTF-8 text by the C.UTF-8 table; invalid bytes stay as they are.
[[nodiscard]] std::string lowerUtf8(std::string_view text);

}  // namespace godwit::store
