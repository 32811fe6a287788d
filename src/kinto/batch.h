#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/task.h"
#include "godwit/http/request.h"
#include "kinto/answer.h"

namespace godwit::store {
class Session;
}

namespace godwit::kinto {

class Call;

// One request inside a batch, defaults merged in.
struct BatchItem {
  std::string method = "GET";
  std::string path;   // with version prefix, percent-encoded where needed
  std::string query;  // percent-encoded
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
};

struct BatchRequest {
  std::vector<BatchItem> items;
  bool only_reads = true;
};

// Reads the body of POST /batch. Problems found are added and the result is then meaningless.
BatchRequest parseBatch(const Call& call, std::vector<Problem>& problems);

// Runs the items of call.exchange.batch in order within the caller's transaction and answers with
// all their answers. false: the whole batch failed and call.answer holds the error.
Task<bool> runBatch(store::Session& session, Call& call);

}  // namespace godwit::kinto
