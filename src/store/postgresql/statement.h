#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

namespace godwit::store::postgresql {

// SQL text with $1.. parameters. `slot` numbers it within a catalog; each connection remembers by
// slot what it has prepared. kUnprepared: parsed each time.
struct Statement {
  static constexpr std::size_t kUnprepared = static_cast<std::size_t>(-1);
  std::string sql;
  std::string name;
  std::size_t slot = kUnprepared;
};

// The statements one event loop has used: the fixed ones and, as lists are asked for, one per shape
// of filter and sort. Loop thread only. Shared, since a command in flight may outlive its asker.
class Catalog {
 public:
  // A server keeps a plan per prepared statement and connection, so their number is bounded;
  // shapes first met beyond it are parsed each time.
  static constexpr std::size_t kMaxPrepared = 160;

  std::shared_ptr<const Statement> get(std::string_view sql);

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view s) const { return std::hash<std::string_view>()(s); }
  };
  std::unordered_map<std::string, std::shared_ptr<const Statement>, Hash, std::equal_to<>> known_;
};

}  // namespace godwit::store::postgresql
