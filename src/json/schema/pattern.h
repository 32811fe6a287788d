#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "godwit/result.h"

namespace re2 {
class RE2;
}

namespace godwit::json {

// A user's regular expression: searched anywhere in the text, in time linear in its length. Any
// thread.
class Pattern {
 public:
  // Takes what Python's re and ECMA 262 have in common, as far as an automaton can run it: no
  // look-around, no back references. Errors: kInvalid, with the reason.
  static Result<Pattern> compile(std::string_view source);
  Pattern(Pattern&&) noexcept;
  Pattern& operator=(Pattern&&) noexcept;
  ~Pattern();

  [[nodiscard]] bool search(std::string_view text) const;

 private:
  explicit Pattern(std::unique_ptr<re2::RE2> re);
  std::unique_ptr<re2::RE2> re_;
};

}  // namespace godwit::json
