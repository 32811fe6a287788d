#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kinto/resource.h"
#include "store/types.h"

namespace godwit::kinto {

enum class Action : std::uint8_t { kCreate, kUpdate, kDelete };
std::string_view toString(Action action);  // "create"

// One change of one object, made once by the resource code inside the transaction.
struct Event {
  Action action = Action::kCreate;
  const Resource* resource = nullptr;
  std::string parent_id;      // of the object's list
  std::string uri;            // of the object
  std::string bucket_id;      // of the path it was reached by; "" at the root
  std::string collection_id;  // "" but for records
  std::string user_id;        // prefixed, "" for nobody
  bool named = true;          // the request's path named the object, not its list
  store::Timestamp timestamp = 0;
  store::Object object;              // as it is now; a tombstone after kDelete
  std::optional<store::Object> old;  // as it was
  // What a deleted collection took along, filled in by the plugin that accounts for it.
  std::int64_t records_below = 0;
  std::int64_t bytes_below = 0;
};

}  // namespace godwit::kinto
