#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kinto/body.h"
#include "kinto/list_query.h"
#include "kinto/precondition.h"
#include "kinto/resource.h"
#include "store/types.h"

namespace godwit::kinto {

class Call;

// A request on a resource, read and checked as far as that goes without storage. Problems found are
// reported only after the user was found to be allowed, as the predecessor does.
struct Operation {
  const Resource* resource = nullptr;
  bool plural = false;
  store::Ref ref;                 // the list
  std::string list_uri;           // "/buckets/b/groups"
  std::string id;                 // of the object; "" when the request names none
  bool invalid_id = false;        // it does not have the form of one
  bool invalid_parent = false;    // an ancestor's id has no form of one: nothing can be there
  std::vector<std::string> uris;  // ancestors from the root, then the object when there is an id

  Precondition if_match, if_none_match;
  BodyKind kind = BodyKind::kPlain;
  std::string_view response_behavior = "full";
  Body body;
  ListQuery list;
  std::vector<std::string> fields;        // of an object GET
  store::Timestamp delete_timestamp = 0;  // ?last_modified= of DELETE

  std::vector<Problem> problems;
  std::optional<Problem> late;  // reported after preconditions

  // Inside the transaction.
  store::Loaded loaded;
  std::string owner;                    // who gets write on what is created
  std::optional<store::Object> above;   // the parent object, where it must exist
  bool shared_only = false;             // list only what is shared with the user...
  std::vector<std::string> shared_ids;  // ...these
  store::Timestamp list_timestamp = 0;  // 0: not asked for yet

  Operation() = default;
  [[nodiscard]] const std::string& objectUri() const { return uris.back(); }
};

// Reads `call` (routed to a resource, with query parsed) into call.operation.
void parseOperation(Call& call, std::int64_t now_ms);

}  // namespace godwit::kinto
