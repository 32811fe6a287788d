#include "ops/uri.h"

namespace godwit::ops {

std::string listUri(const store::Ref& ref) {
  if (ref.resource == "account") return "/accounts";
  for (const char* known : {"bucket", "collection", "group", "record", "history"}) {
    if (ref.resource != known) continue;
    std::string plural = ref.resource == "history" ? ref.resource : ref.resource + "s";
    return ref.parent + "/" + plural;
  }
  return "";
}

std::string objectUri(const store::Ref& ref, const std::string& id) {
  std::string list = listUri(ref);
  return list.empty() ? list : list + "/" + id;
}

std::string describe(const store::Ref& ref) { return ref.resource + " of '" + ref.parent + "'"; }

}  // namespace godwit::ops
