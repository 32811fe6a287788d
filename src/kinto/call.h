#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/policy.h"
#include "godwit/http/request.h"
#include "kinto/answer.h"
#include "kinto/headers.h"
#include "kinto/query_string.h"
#include "kinto/route.h"

namespace godwit::kinto {

class App;
struct Exchange;
struct Operation;

// One request as the API sees it: what came over HTTP, or an item of a batch. Its views are owned
// by whoever made it and outlive it. Used by one thread at a time.
class Call {
 public:
  explicit Call(Exchange& e) : exchange(e) {}
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  Exchange& exchange;

  // What was sent.
  http::Method method = http::Method::kGet;
  std::string_view method_name = "GET";
  std::string_view raw_path;   // percent-encoded, with version prefix
  std::string_view raw_query;  // percent-encoded
  Headers headers;
  std::string_view body;
  bool nested = false;  // an item of a batch, or what a plugin made of another request

  // What routing found.
  std::string unescaped;     // backs `decoded` when the path has escapes
  std::string_view decoded;  // the path, percent-decoded
  std::string_view path;     // `decoded` without version prefix
  const Route* route = nullptr;
  Params params;
  QueryPairs query;
  bool origin_refused = false;  // an Origin that the settings do not allow

  // Who sent it.
  const auth::Identity* identity = nullptr;  // nullptr: nobody
  std::string user;                          // prefixed id, "" for nobody
  std::vector<std::string> principals;       // complete once loaded inside the transaction

  // The route whose headers the answer carries, when that is not `route` (an alias of another
  // path).
  const Route* answered_as = nullptr;
  std::unique_ptr<Operation> operation;  // of a resource endpoint
  Answer answer;

  [[nodiscard]] bool is(std::string_view principal) const;
  // Takes user and groups; identity must be set.
  void setPrincipals(const std::vector<std::string>& groups);
  [[nodiscard]] const Service* service() const;
  // "http://host" as the client sees this server.
  [[nodiscard]] std::string baseUrl() const;
  [[nodiscard]] const App& app() const;
  [[nodiscard]] const Config& config() const;
};

}  // namespace godwit::kinto
