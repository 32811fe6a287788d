#include <cstdlib>

#include "json/schema/compiled.h"

namespace godwit::json {
namespace {

// What draft-07 demands of a schema (draft-handrews-json-schema-validation-01, section 6). Order of
// members decides which of several faults is named first.
constexpr std::string_view kMeta = R"({
"$schema":"http://json-schema.org/draft-07/schema#","$id":"http://json-schema.org/draft-07/schema#",
"definitions":{
 "schemaArray":{"type":"array","minItems":1,"items":{"$ref":"#"}},
 "nonNegativeInteger":{"type":"integer","minimum":0},
 "nonNegativeIntegerDefault0":{"allOf":[{"$ref":"#/definitions/nonNegativeInteger"},{"default":0}]},
 "simpleTypes":{"enum":["array","boolean","integer","null","number","object","string"]},
 "stringArray":{"type":"array","items":{"type":"string"},"uniqueItems":true,"default":[]}},
"type":["object","boolean"],
"properties":{
 "$id":{"type":"string"},"$schema":{"type":"string"},"$ref":{"type":"string"},"$comment":{"type":"string"},
 "title":{"type":"string"},"description":{"type":"string"},"default":true,"readOnly":{"type":"boolean"},
 "examples":{"type":"array","items":true},
 "multipleOf":{"type":"number","exclusiveMinimum":0},
 "maximum":{"type":"number"},"exclusiveMaximum":{"type":"number"},
 "minimum":{"type":"number"},"exclusiveMinimum":{"type":"number"},
 "maxLength":{"$ref":"#/definitions/nonNegativeInteger"},"minLength":{"$ref":"#/definitions/nonNegativeIntegerDefault0"},
 "pattern":{"type":"string"},
 "additionalItems":{"$ref":"#"},"items":{"anyOf":[{"$ref":"#"},{"$ref":"#/definitions/schemaArray"}],"default":true},
 "maxItems":{"$ref":"#/definitions/nonNegativeInteger"},"minItems":{"$ref":"#/definitions/nonNegativeIntegerDefault0"},
 "uniqueItems":{"type":"boolean"},"contains":{"$ref":"#"},
 "maxProperties":{"$ref":"#/definitions/nonNegativeInteger"},
 "minProperties":{"$ref":"#/definitions/nonNegativeIntegerDefault0"},
 "required":{"$ref":"#/definitions/stringArray"},"additionalProperties":{"$ref":"#"},
 "definitions":{"type":"object","additionalProperties":{"$ref":"#"}},
 "properties":{"type":"object","additionalProperties":{"$ref":"#"}},
 "patternProperties":{"type":"object","additionalProperties":{"$ref":"#"}},
 "dependencies":{"type":"object","additionalProperties":{"anyOf":[{"$ref":"#"},{"$ref":"#/definitions/stringArray"}]}},
 "propertyNames":{"$ref":"#"},"const":true,"enum":{"type":"array","items":true},
 "type":{"anyOf":[{"$ref":"#/definitions/simpleTypes"},
  {"type":"array","items":{"$ref":"#/definitions/simpleTypes"},"minItems":1,"uniqueItems":true}]},
 "format":{"type":"string"},"contentMediaType":{"type":"string"},"contentEncoding":{"type":"string"},
 "if":{"$ref":"#"},"then":{"$ref":"#"},"else":{"$ref":"#"},
 "allOf":{"$ref":"#/definitions/schemaArray"},"anyOf":{"$ref":"#/definitions/schemaArray"},
 "oneOf":{"$ref":"#/definitions/schemaArray"},"not":{"$ref":"#"}},
"default":true})";

std::shared_ptr<const Schema> build() {
  Result<Value> document = parse(kMeta);
  if (!document.ok()) std::abort();  // the text above is constant
  Result<std::shared_ptr<const Schema>> schema =
      Schema::compile(std::move(*document), Dialect::kDraft7);
  if (!schema.ok()) std::abort();
  return *schema;
}

}  // namespace

const Schema& Schema::meta() {
  static const std::shared_ptr<const Schema> schema = build();
  return *schema;
}

Result<void> checkSchema(const Value& document) {
  Result<std::vector<Violation>> found = Schema::meta().violations(document);
  if (!found.ok()) return std::move(found).error();
  const Violation* best = bestMatch(*found);
  if (!best) return {};
  std::string field;
  if (!best->path.empty()) {
    const PathStep& last = best->path.back();
    field = std::holds_alternative<std::string>(last) ? std::get<std::string>(last)
                                                      : std::to_string(std::get<std::size_t>(last));
  }
  return Error(ErrorCode::kInvalid, field + best->message);
}

}  // namespace godwit::json
