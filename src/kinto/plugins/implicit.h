#pragma once

#include <string>

#include "base/task.h"
#include "kinto/call.h"
#include "kinto/resource.h"

namespace godwit::store {
class Session;
}

namespace godwit::kinto {

// An object that comes into being because something below it is used.
struct Implicit {
  const Resource* resource = nullptr;
  std::string id, parent, uri;
  std::string bucket_id;  // of the path; "" for a bucket
};

// Creates the object, owned by the call's user, unless it exists; hooks and events as for any
// other. false: call.answer holds an error, or the work must run again as a write.
Task<bool> createImplicitly(store::Session& session, Call& call, const Implicit& wanted);

}  // namespace godwit::kinto
