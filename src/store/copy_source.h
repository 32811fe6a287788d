#pragma once

#include <memory>
#include <string>
#include <vector>

#include "godwit/deadline.h"
#include "godwit/result.h"
#include "store/types.h"

namespace godwit::store {

// Everything a store holds, row by row, from one consistent state. One thread; blocks.
class CopySource {
 public:
  struct List {
    Ref ref;
    Timestamp timestamp = 0;
    std::uint64_t rows = 0;  // tombstones included
  };
  struct Membership {
    std::string user;
    std::string principal;
  };

  virtual ~CopySource() = default;
  // By parent and resource.
  virtual Result<std::vector<List>> lists() = 0;
  // Tombstones included, oldest first, those above `after`.
  virtual Result<std::vector<Object>> objects(const Ref& ref, Timestamp after,
                                              std::size_t limit) = 0;
  // In the order of their fields, those above `after`; an empty uri or user starts.
  virtual Result<std::vector<Ace>> aces(const Ace& after, std::size_t limit) = 0;
  // Those of some objects, in no order.
  virtual Result<std::vector<Ace>> acesOf(const std::vector<std::string>& uris) = 0;
  virtual Result<std::vector<Membership>> memberships(const Membership& after,
                                                      std::size_t limit) = 0;
};

bool isSqliteUrl(std::string_view url);
std::string sqlitePath(std::string_view url);
Result<std::unique_ptr<CopySource>> openCopySource(const std::string& url, Deadline deadline);
Result<std::unique_ptr<CopySource>> openSqliteSource(const std::string& path);
Result<std::unique_ptr<CopySource>> openPostgresSource(const std::string& url, Deadline deadline);

}  // namespace godwit::store
