#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/reactor.h"
#include "godwit/deadline.h"
#include "godwit/result.h"

namespace godwit::auth {

// Who a request is from.
struct Identity {
  std::string policy;                   // "basicauth": prefix of the user id
  std::string user;                     // without prefix
  std::vector<std::string> principals;  // beyond user id, system.* and groups
  std::string profile_json;             // shown by hello when not empty

  [[nodiscard]] std::string prefixed() const { return policy + ":" + user; }
};

// What a policy may look at. Views are valid until `done` has been called.
struct Presented {
  std::string_view authorization;  // value of the Authorization header, "" when absent
  std::string_view remote;
};

// One way to tell who sends a request. Immutable after construction; any thread.
class Policy {
 public:
  enum class Verdict { kNo, kYes, kLater };

  virtual ~Policy() = default;

  // Prefix of its user ids and name in multiauth.policies.
  [[nodiscard]] virtual const std::string& name() const = 0;
  // Decides without waiting. kYes fills `out`; kLater asks for authenticate().
  virtual Verdict decide(const Presented& presented, Identity& out) const = 0;
  // Only after decide() said kLater. Calls `done` once, on `home`'s thread, maybe before returning.
  // An error is the policy's backend being away, not a wrong password.
  using Done = std::function<void(Result<std::optional<Identity>>)>;
  virtual void authenticate(const Presented&, Reactor& /*home*/, Deadline, Done done) const {
    done(std::optional<Identity>());
  }
  // Value of the WWW-Authenticate header it adds to a 401; "" for none.
  [[nodiscard]] virtual std::string challenge() const { return {}; }
};

}  // namespace godwit::auth
