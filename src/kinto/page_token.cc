#include "kinto/page_token.h"

#include "base/encoding.h"
#include "json/text.h"
#include "kinto/projection.h"

namespace godwit::kinto {

using json::Value;

std::optional<PageToken> readPageToken(std::string_view token) {
  auto text = base64Decode(token);
  if (!text) return std::nullopt;
  auto parsed = json::parse(*text, json::Limits(32));
  if (!parsed) return std::nullopt;
  const Value* last = parsed->get("last_object");
  const Value* offset = parsed->get("offset");
  const Value* nonce = parsed->get("nonce");
  if (!last || !last->isObject() || !offset || !offset->toInt() || !nonce || !nonce->isString()) {
    return std::nullopt;
  }
  PageToken out;
  out.last_object = *last;
  out.offset = *offset->toInt();
  out.nonce = nonce->asString();
  return out;
}

std::string makePageToken(const std::vector<store::Sort>& sort, const Value& last_object,
                          std::int64_t offset, std::string_view nonce) {
  json::Object last;
  for (const store::Sort& s : sort) {
    if (const Value* value = findNested(last_object, s.field)) last.set(s.field, *value);
  }
  std::string text = "{\"last_object\":";
  json::dumpTo(text, Value(std::move(last)));
  text += ",\"offset\":" + std::to_string(offset) + ",\"nonce\":";
  json::dumpString(text, nonce);
  text += '}';
  return base64Encode(text);
}

}  // namespace godwit::kinto
