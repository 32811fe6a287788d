#pragma once

#include "json/value.h"
#include "ops/http_client.h"
#include "ops/source.h"

namespace godwit::ops {

// Kinto's API as far as moving data needs it, of one server. One thread; blocks.
class Api {
 public:
  // Asks the server who it is and who we are.
  static Result<std::unique_ptr<Api>> open(const std::string& url, const std::string& auth);

  [[nodiscard]] const std::string& url() const { return url_; }
  [[nodiscard]] const std::string& user() const { return user_; }  // "account:admin"; "" for none
  [[nodiscard]] bool has(const std::string& capability) const;
  [[nodiscard]] HttpClient& http() { return http_; }

  struct Call {
    std::string method;
    std::string path;            // below the root
    std::string body;            // JSON text or ""
    std::string if_match;        // an ETag without quotes; "" for none
    bool if_none_match = false;  // *
  };
  struct Reply {
    long status = 0;
    json::Value body;
  };
  // Any number of calls, in batches as large as the server allows. In the order of `calls`.
  Result<std::vector<Reply>> batch(const std::vector<Call>& calls);

 private:
  Api(const std::string& url, const std::string& auth) : url_(url), http_(url, auth) {}
  Result<void> few(const std::vector<Call>& calls, std::size_t from, std::size_t to,
                   std::vector<Reply>& out);

  std::string url_;
  HttpClient http_;
  std::string user_;
  std::string prefix_;  // "/v1"
  std::size_t batch_ = 25;
  json::Value capabilities_;
};

// "it answers 403 ..." with the path.
Error refused(const std::string& what, long status, const std::string& body);

}  // namespace godwit::ops
