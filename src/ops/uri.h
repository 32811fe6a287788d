#pragma once

#include <string>

#include "store/types.h"

namespace godwit::ops {

// "/buckets/b/collections/c/records" of a list, "/accounts" of accounts; "" for lists that the API
// does not show in this way.
std::string listUri(const store::Ref& ref);
// Of an object in it, "" likewise.
std::string objectUri(const store::Ref& ref, const std::string& id);
// "record of '/buckets/b/collections/c'", for people.
std::string describe(const store::Ref& ref);

}  // namespace godwit::ops
