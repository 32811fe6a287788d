#pragma once

#include <string>
#include <string_view>

#include "godwit/result.h"
#include "store/postgresql/params.h"
#include "store/types.h"

namespace godwit::store::postgresql {

// SQL text with its parameters, grown piece by piece. Values and field names only ever become
// parameters, so the text depends on the shape of a query alone and can stay prepared.
class SqlBuilder {
 public:
  SqlBuilder& raw(std::string_view piece) {
    sql_ += piece;
    return *this;
  }
  SqlBuilder& text(std::string_view value);                    // $n
  SqlBuilder& cast(std::string value, std::string_view type);  // $n::type
  SqlBuilder& number(std::int64_t value);                      // $n::bigint
  SqlBuilder& json(const json::Value& value);                  // $n::jsonb
  SqlBuilder& array(const std::vector<std::string>& items);    // $n, to be cast by the caller

  [[nodiscard]] const std::string& sql() const { return sql_; }
  [[nodiscard]] Params& params() { return params_; }

 private:
  std::string sql_;
  Params params_;
};

// "parent_id = .. AND resource_name = .." or the pattern forms; resource "" means any.
void appendList(SqlBuilder& out, const Ref& ref);
// " AND .." for every filter. kInvalid: an operand the field cannot have.
Result<void> appendFilters(SqlBuilder& out, const std::vector<Filter>& filters);
// " AND (.. OR ..)"
Result<void> appendPageRules(SqlBuilder& out, const std::vector<std::vector<Filter>>& rules);
// " ORDER BY .."; ends in last_modified, which is unique in a list.
void appendSort(SqlBuilder& out, const std::vector<Sort>& sort);

// A text above everything that starts with `prefix`, byte-wise.
std::string rangeEnd(std::string_view prefix);

// LIKE pattern of one where '*' is any run of characters and the rest stands for itself.
std::string likePattern(std::string_view pattern);

}  // namespace godwit::store::postgresql
