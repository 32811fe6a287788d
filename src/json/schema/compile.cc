#include <unordered_set>
#include <vector>

#include "base/encoding.h"
#include "json/patch.h"
#include "json/schema/compiled.h"
#include "json/schema/uri.h"

namespace godwit::json {
namespace {

constexpr std::size_t kMaxNodes = 50'000;
constexpr std::size_t kMaxPatterns = 500;

enum class Shape { kSchema, kSchemaList, kSchemaMap, kPatternMap, kSchemaOrList, kDependencies };

struct Holder {
  std::string_view keyword;
  Shape shape;
};

// Keywords below which schemas stand.
constexpr Holder kHolders[] = {
    {"additionalItems", Shape::kSchema},
    {"additionalProperties", Shape::kSchema},
    {"contains", Shape::kSchema},
    {"propertyNames", Shape::kSchema},
    {"not", Shape::kSchema},
    {"if", Shape::kSchema},
    {"then", Shape::kSchema},
    {"else", Shape::kSchema},
    {"items", Shape::kSchemaOrList},
    {"prefixItems", Shape::kSchemaList},
    {"allOf", Shape::kSchemaList},
    {"anyOf", Shape::kSchemaList},
    {"oneOf", Shape::kSchemaList},
    {"properties", Shape::kSchemaMap},
    {"patternProperties", Shape::kPatternMap},
    {"definitions", Shape::kSchemaMap},
    {"$defs", Shape::kSchemaMap},
    {"dependentSchemas", Shape::kSchemaMap},
    {"dependencies", Shape::kDependencies},
};

class Compiler {
 public:
  explicit Compiler(Schema::Impl& impl) : impl_(impl) {}

  Result<void> run() {
    bases_[""] = &impl_.document;
    GODWIT_TRY(visit(impl_.document, ""));
    // Resolving may reach nodes that are no schema by position; their own refs come after.
    for (std::size_t i = 0; i < pending_.size(); ++i) {
      Pending ref = pending_[i];
      std::string uri = resolveUri(ref.base, ref.text);
      Result<Found> found = lookUp(uri);
      if (!found.ok()) return Error(ErrorCode::kInvalid, "Unresolvable JSON pointer: " + ref.text);
      impl_.refs.emplace(ref.node, found->node);
      if (!found->foreign) GODWIT_TRY(visit(*found->node, found->base));
    }
    return {};
  }

 private:
  struct Pending {
    const Value* node;
    std::string base, text;
  };
  struct Found {
    const Value* node;
    std::string base;
    bool foreign;  // in the meta-schema, which is compiled already
  };

  Result<void> visit(const Value& node, std::string base) {
    if (!node.isObject() || !seen_.insert(&node).second) return {};
    if (seen_.size() > kMaxNodes) return Error(ErrorCode::kLimit, "schema has too many parts");
    const Value* ref = node.get("$ref");
    bool has_ref = ref && ref->isString();
    const Value* id = node.get("$id");
    if (id && id->isString() && !(has_ref && impl_.draft7)) {
      std::string uri = resolveUri(base, id->asString());
      bases_[uri] = &node;
      if (std::size_t hash = uri.find('#'); hash == uri.npos || hash + 1 == uri.size()) {
        base = uri.substr(0, hash);
        bases_[base] = &node;
      }
    }
    if (const Value* anchor = node.get("$anchor"); anchor && anchor->isString()) {
      bases_[base + "#" + anchor->asString()] = &node;
    }
    if (has_ref) pending_.push_back({&node, base, ref->asString()});
    if (const Value* pattern = node.get("pattern"); pattern && pattern->isString()) {
      GODWIT_TRY(add(pattern, pattern->asString()));
    }
    for (const Holder& holder : kHolders) {
      if (const Value* child = node.get(holder.keyword))
        GODWIT_TRY(descend(*child, holder.shape, base));
    }
    return {};
  }

  Result<void> descend(const Value& value, Shape shape, const std::string& base) {
    switch (shape) {
      case Shape::kSchemaOrList:
        if (!value.isArray()) return visit(value, base);
        [[fallthrough]];
      case Shape::kSchemaList:
        if (value.isArray()) {
          for (const Value& each : value.asArray()) GODWIT_TRY(visit(each, base));
        }
        return {};
      case Shape::kSchema:
        return visit(value, base);
      case Shape::kPatternMap:
      case Shape::kSchemaMap:
      case Shape::kDependencies:
        if (!value.isObject()) return {};
        for (const auto& [key, each] : value.asObject()) {
          if (shape == Shape::kPatternMap) GODWIT_TRY(add(&each, key));
          GODWIT_TRY(visit(each, base));
        }
        return {};
    }
    return {};
  }

  Result<void> add(const Value* node, const std::string& source) {
    if (impl_.patterns.contains(node)) return {};
    if (impl_.patterns.size() == kMaxPatterns)
      return Error(ErrorCode::kLimit, "schema has too many patterns");
    Result<Pattern> pattern = Pattern::compile(source);
    if (!pattern.ok()) return std::move(pattern).error();
    impl_.patterns.emplace(node, std::move(*pattern));
    return {};
  }

  Result<Found> lookUp(const std::string& uri) {
    if (auto it = bases_.find(uri); it != bases_.end()) {
      return Found{it->second, uri.substr(0, uri.find('#')), false};
    }
    std::size_t hash = uri.find('#');
    std::string base = uri.substr(0, hash);
    std::string fragment = hash == uri.npos ? "" : uri.substr(hash + 1);
    const Value* root = nullptr;
    bool foreign = false;
    if (auto it = bases_.find(base); it != bases_.end()) {
      root = it->second;
    } else if (base == kMetaUri) {
      root = &Schema::meta().document();
      foreign = true;
    }
    auto pointer = percentDecode(fragment);
    if (!root || !pointer || (!pointer->empty() && pointer->front() != '/'))
      return Error(ErrorCode::kNotFound, "");
    const Value* node = resolvePointer(*root, *pointer);
    if (!node) return Error(ErrorCode::kNotFound, "");
    return Found{node, base, foreign};
  }

  Schema::Impl& impl_;
  std::unordered_map<std::string, const Value*> bases_;
  std::unordered_set<const Value*> seen_;
  std::vector<Pending> pending_;
};

bool saysDraft7(const Value& document) {
  const Value* schema = document.get("$schema");
  return schema && schema->isString() && schema->asString().find("/draft-0") != std::string::npos;
}

}  // namespace

const Pattern* Schema::Impl::pattern(const Value* node) const {
  auto it = patterns.find(node);
  return it == patterns.end() ? nullptr : &it->second;
}

const Value* Schema::Impl::target(const Value* node) const {
  if (auto it = refs.find(node); it != refs.end()) return it->second;
  const Impl& meta = *Schema::meta().impl_;
  auto it = meta.refs.find(node);
  return it == meta.refs.end() ? nullptr : it->second;
}

Schema::Schema(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Schema::~Schema() = default;
const Value& Schema::document() const { return impl_->document; }

Result<std::shared_ptr<const Schema>> Schema::compile(Value document, Dialect dialect) {
  auto impl = std::make_unique<Impl>();
  impl->document = std::move(document);
  impl->draft7 = dialect == Dialect::kDraft7 ||
                 (dialect == Dialect::kFromDocument && saysDraft7(impl->document));
  GODWIT_TRY(Compiler(*impl).run());
  return std::shared_ptr<const Schema>(std::make_shared<Schema>(std::move(impl)));
}

}  // namespace godwit::json
