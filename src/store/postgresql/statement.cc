#include "store/postgresql/statement.h"

namespace godwit::store::postgresql {

std::shared_ptr<const Statement> Catalog::get(std::string_view sql) {
  if (auto it = known_.find(sql); it != known_.end()) return it->second;
  auto made = std::make_shared<Statement>();
  made->sql = std::string(sql);
  if (known_.size() < kMaxPrepared) {
    made->slot = known_.size();
    made->name = "godwit_" + std::to_string(made->slot);
    known_.emplace(made->sql, made);
  }
  return made;
}

}  // namespace godwit::store::postgresql
