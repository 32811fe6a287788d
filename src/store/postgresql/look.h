#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "store/postgresql/command.h"
#include "store/types.h"

namespace godwit::store::postgresql {

// A read by keys (Session::load) and its answer. Alive until its command is done.
struct Look {
  explicit Look(const LoadSpec& s) : spec(s) {}
  const LoadSpec& spec;
  Loaded loaded;
  // When the objects were changed, in microseconds of Unix time.
  std::optional<std::int64_t> at;
  std::optional<std::int64_t> above_at;
};

bool representable(const LoadSpec& spec);

// Looks that travel as one statement over arrays of keys, each key once however many want it.
// See docs/decisions/0056-looks-together.md.
class Gathering {
 public:
  explicit Gathering(std::vector<CommandPtr> members) : members_(std::move(members)) {}

  [[nodiscard]] const std::vector<CommandPtr>& members() const { return members_; }
  // The statement's parameters. Borrowed from the looks: send them before any member is done.
  Params params();
  // Gives the members that are not done what they asked for; done they are not yet.
  void share(const Reply& reply) const;

 private:
  enum Kind : unsigned char { kUser, kUri, kObject };
  static constexpr std::size_t kKinds = 3;
  struct Rows;

  const std::vector<CommandPtr> members_;
  // Of every key of every look, in the order each() goes through them: its number among its kind.
  std::vector<std::uint32_t> numbers_;
  std::vector<std::size_t> starts_;  // where those of each member begin
  std::size_t sizes_[kKinds] = {};
};

// One statement for the looks of all members, which must have some.
CommandPtr gather(std::vector<CommandPtr> members, Catalog& catalog);

}  // namespace godwit::store::postgresql
