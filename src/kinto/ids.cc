#include "kinto/ids.h"

#include "base/random.h"

namespace godwit::kinto {
namespace {

bool alnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool hexLower(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

constexpr std::size_t kGeneratedNameLength = 8;

}  // namespace

bool validId(IdKind kind, std::string_view id) {
  if (kind == IdKind::kUuid4) {
    if (id.size() != 36) return false;
    for (std::size_t i = 0; i < id.size(); ++i) {
      bool dash = i == 8 || i == 13 || i == 18 || i == 23;
      if (dash ? id[i] != '-' : !hexLower(id[i])) return false;
    }
    return true;
  }
  if (id.empty() || !alnum(id.front())) return false;
  for (char c : id.substr(1)) {
    if (alnum(c) || c == '-' || c == '_') continue;
    if (kind == IdKind::kAccount && (c == '+' || c == '.' || c == '@')) continue;
    return false;
  }
  return true;
}

std::string makeId(IdKind kind) {
  return kind == IdKind::kName || kind == IdKind::kAccount ? randomName(kGeneratedNameLength)
                                                           : uuid4();
}

}  // namespace godwit::kinto
