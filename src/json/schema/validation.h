#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "json/schema/compiled.h"

namespace godwit::json {

// Does `v` have the JSON Schema type of that name?
bool isType(const Value& v, std::string_view type);

// One run over one instance. Recursion is bounded by kMaxDepth.
class Validation {
 public:
  Validation(const Schema::Impl& schema, bool first_only)
      : schema_(schema), first_only_(first_only) {}

  Result<std::vector<Violation>> run(const Value& instance);

 private:
  using Path = std::vector<PathStep>;

  // Where the instance and the schema are pushed for the length of a scope.
  class Step {
   public:
    Step(Path& path, PathStep step) : path_(path) { path_.push_back(std::move(step)); }
    ~Step() { path_.pop_back(); }
    Step(const Step&) = delete;
    Step& operator=(const Step&) = delete;

   private:
    Path& path_;
  };

  [[nodiscard]] bool typeFits() const;
  [[nodiscard]] bool done() const { return exhausted_ || (first_only_ && !found_.empty()); }

  void report(std::string message);

  // Violations of a branch that does not count by itself: collected apart, with relative paths.
  std::vector<Violation> branch(const Value& instance, const Value& node, bool first_only);
  bool valid(const Value& instance, const Value& node) {
    return branch(instance, node, true).empty();
  }

  void check(const Value& instance, const Value& node);

  void descend(const Value& instance, const Value& node, std::optional<PathStep> path,
               std::optional<PathStep> schema_step);

  void apply(const Value& i, const Value& node, const std::string& key, const Value& value);
  void applyToNumber(const Value& i, const Value& node, const std::string& key, const Value& value);
  void applyToString(const Value& i, const std::string& key, const Value& value);
  void applyToArray(const Value& i, const Value& node, const std::string& key, const Value& value);
  void applyToObject(const Value& i, const Value& node, const std::string& key, const Value& value);
  void combine(const Value& i, const Value& node, const std::string& key, const Value& value);
  void anyOf(const Value& i, const Value& value);
  void oneOf(const Value& i, const Value& value);
  void contains(const Value& i, const Value& node, const Value& value);
  void additionalProperties(const Value& i, const Value& node, const Value& value);
  void dependencies(const Value& i, const Value& value);

  const Schema::Impl& schema_;
  bool first_only_;
  bool exhausted_ = false;
  std::size_t steps_ = 0;
  std::size_t depth_ = 0;
  std::vector<Violation> found_;
  Path path_, schema_path_;
  std::size_t path_base_ = 0, schema_base_ = 0;
  const Value* node_ = nullptr;
  std::string keyword_;
  const Value* keyword_value_ = nullptr;
  const Value* instance_ = nullptr;
};

}  // namespace godwit::json
