#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "godwit/result.h"
#include "json/value.h"

// JSON Schema, draft-07, with the keywords that later drafts added and that do no harm here
// (dependentRequired, dependentSchemas, prefixItems, minContains, maxContains). Patterns run on
// RE2: no input can make them backtrack. `format` and content keywords are annotations, as in
// Kinto.
namespace godwit::json {

// A step into a document: a member name or an array index.
using PathStep = std::variant<std::string, std::size_t>;

// One way in which an instance breaks a schema. Messages have the wording that users of
// python-jsonschema know: "'title' is a required property".
struct Violation {
  std::string message;
  std::vector<PathStep> path;            // into the instance, from the root
  std::vector<PathStep> schema_path;     // into the schema, from the root
  std::string keyword;                   // "" for the schema `false`
  const Value* keyword_value = nullptr;  // inside the Schema; nullptr for the schema `false`
  bool type_fits = false;          // the schema beside it names a type, and the instance has it
  std::vector<Violation> context;  // for anyOf and oneOf: why each branch failed; paths relative
};

// Where drafts differ: up to draft-07 a $ref hides its siblings, and `contains` words its error
// differently. kFromDocument reads $schema; without one the newest holds, as in python-jsonschema.
enum class Dialect : std::uint8_t { kFromDocument, kDraft7, kNewest };

// A schema ready to validate with. Immutable; any thread.
class Schema {
 public:
  // Errors: kInvalid for a pattern RE2 cannot run, or a $ref that leads nowhere; kLimit for a
  // schema with too many nodes or patterns. Nothing is ever fetched.
  static Result<std::shared_ptr<const Schema>> compile(Value document,
                                                       Dialect dialect = Dialect::kFromDocument);
  ~Schema();

  // First violation in the order of the schema's keywords, or nothing. Errors: kLimit when
  // validation takes more than a fixed number of steps or nests too deeply.
  [[nodiscard]] Result<std::vector<Violation>> firstViolation(const Value& instance) const;
  // All of them.
  [[nodiscard]] Result<std::vector<Violation>> violations(const Value& instance) const;

  // The draft-07 meta-schema.
  static const Schema& meta();

  [[nodiscard]] const Value& document() const;

  struct Impl;
  explicit Schema(std::unique_ptr<Impl> impl);

 private:
  std::unique_ptr<Impl> impl_;
};

// Checks that `document` is itself a valid draft-07 schema. On failure the most telling violation's
// last path step followed by its message, as Kinto words it.
Result<void> checkSchema(const Value& document);

// The most relevant of several: nearest to the root, then by kind of keyword; descends into anyOf
// and oneOf where one branch clearly came closest.
const Violation* bestMatch(const std::vector<Violation>& violations);

// `value` as Python's repr() prints the parsed document, cut with "..." after `limit` bytes.
std::string pythonRepr(const Value& value, std::size_t limit = 8192);

}  // namespace godwit::json
