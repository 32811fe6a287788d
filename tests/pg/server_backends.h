#pragma once

#include <memory>

#include "store/postgresql/options.h"
#include "test_backend.h"

namespace godwit::test {

// A database with Kinto's schema and nothing else in it, on the server this program shares. Emptied
// and given to the next one when let go of.
class Database {
 public:
  static std::shared_ptr<Database> empty();

  explicit Database(std::string name) : name_(std::move(name)) {}
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::string url() const;
  // Stores on it; any number, as nodes have.
  [[nodiscard]] kinto::TestStores open(store::postgresql::Options options) const;
  [[nodiscard]] kinto::TestStores open() const;

 private:
  const std::string name_;
};

}  // namespace godwit::test
