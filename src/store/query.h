#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "godwit/result.h"
#include "store/operand.h"
#include "store/types.h"

// Evaluation of Query over single objects, shared by the backends that do it themselves. The
// semantics are PostgreSQL's over jsonb: docs/decisions/0010-query-semantics.md.
namespace godwit::store {

// An object as it lies in storage. Views stay the owner's.
struct ObjectView {
  std::string_view id;
  Timestamp last_modified = 0;
  bool deleted = false;
  std::string_view data;
};

class FieldPath {
 public:
  enum class Where : std::uint8_t { kId, kTime, kDeleted, kData };

  explicit FieldPath(std::string_view field);
  [[nodiscard]] Where where() const { return where_; }
  // Raw JSON of a kDeleted or kData field; nullopt when absent.
  [[nodiscard]] std::optional<std::string_view> find(const ObjectView& object) const;

 private:
  Where where_;
  std::vector<std::string> keys_;
};

// One compiled filter. Immutable, any thread.
class Condition {
 public:
  static Result<Condition> make(const Filter& filter);
  [[nodiscard]] bool matches(const ObjectView& object) const;

  [[nodiscard]] const FieldPath& path() const { return path_; }
  [[nodiscard]] Op op() const { return op_; }
  [[nodiscard]] const std::vector<Timestamp>& times() const { return times_; }
  [[nodiscard]] const std::vector<std::string>& ids() const { return ids_; }

 private:
  explicit Condition(const Filter& filter) : path_(filter.field), op_(filter.op) {}
  [[nodiscard]] bool matchesId(std::string_view id) const;
  [[nodiscard]] bool matchesTime(Timestamp t) const;
  [[nodiscard]] bool matchesRaw(std::optional<std::string_view> raw) const;
  [[nodiscard]] bool matchesArray(std::string_view raw) const;

  FieldPath path_;
  Op op_;
  bool missing_ = false;
  bool has_ = false;
  std::vector<Operand> operands_;  // one, or the elements of the array operators
  std::vector<Timestamp> times_;   // the same for last_modified
  std::vector<std::string> ids_;   // the same for id
  std::optional<Like> like_;
};

// A compiled Query. Immutable, any thread.
class Plan {
 public:
  static Result<Plan> make(const Query& query);  // kInvalid: an operand the field cannot have

  // Deleted objects pass only with include_deleted.
  [[nodiscard]] bool matches(const ObjectView& object) const;

  struct Order {
    FieldPath path;
    bool descending;
  };
  // Never empty; ends in last_modified, which is unique in a list.
  [[nodiscard]] const std::vector<Order>& order() const { return order_; }
  // Sorted by last_modified alone, so that an index gives the order.
  [[nodiscard]] bool byTime() const { return order_.size() == 1 && byTimeFirst(); }
  [[nodiscard]] bool descending() const { return order_.front().descending; }
  [[nodiscard]] bool includeDeleted() const { return include_deleted_; }
  [[nodiscard]] std::optional<std::uint64_t> limit() const { return limit_; }
  [[nodiscard]] bool unfiltered() const { return filters_.empty() && rules_.empty(); }

  // What matches has a last_modified in [from, to].
  [[nodiscard]] Timestamp from() const { return from_; }
  [[nodiscard]] Timestamp to() const { return to_; }
  // What matches has one of these ids, when some filter says so.
  [[nodiscard]] const std::optional<std::vector<std::string>>& ids() const { return only_ids_; }

 private:
  [[nodiscard]] bool byTimeFirst() const {
    return order_.front().path.where() == FieldPath::Where::kTime;
  }

  std::vector<Condition> filters_;
  std::vector<std::vector<Condition>> rules_;
  std::vector<Order> order_;
  std::optional<std::uint64_t> limit_;
  bool include_deleted_ = false;
  Timestamp from_ = 0;
  Timestamp to_ = 0;
  std::optional<std::vector<std::string>> only_ids_;
};

// Keeps the first `limit` objects of a plan's order out of those offered, in any order of offering.
// Memory: the limit, when there is one. `tag` travels with the object. One thread.
class Selection {
 public:
  struct Item {
    Object object;
    std::int64_t tag = 0;
    std::vector<std::optional<json::Value>> keys;  // sort keys other than last_modified alone
  };

  explicit Selection(const Plan& plan) : plan_(plan) {}
  void offer(const ObjectView& object, std::int64_t tag);  // REQUIRES plan.matches(object)
  // Offered in the plan's order: nothing offered later can enter.
  [[nodiscard]] bool full() const;
  std::vector<Item> take();  // sorted

 private:
  [[nodiscard]] bool less(const Item& a, const Item& b) const;

  const Plan& plan_;
  std::vector<Item> items_;  // a heap with the last on top once the limit is reached
  bool heap_ = false;
};

}  // namespace godwit::store
