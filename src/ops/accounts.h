#pragma once

#include <string>
#include <vector>

#include "store/blocking_store.h"

// Accounts (kinto.plugins.accounts) without a server. Blocking; servers may run on the same store.
namespace godwit::ops {

struct Account {
  std::string name;
  store::Timestamp last_modified = 0;
};

// kConflict: there is one. The name has been checked.
Result<void> addAccount(store::BlockingStore& store, const std::string& name,
                        const std::string& password);
// kNotFound. What else the account holds stays. `secret`: userid_hmac_secret, to forget the
// credentials a server has verified.
Result<void> changePassword(store::BlockingStore& store, const std::string& name,
                            const std::string& password, const std::string& secret);
Result<std::vector<Account>> listAccounts(store::BlockingStore& store);  // by name
// kNotFound. Leaves a tombstone, as the API does; what the account owns stays.
Result<void> removeAccount(store::BlockingStore& store, const std::string& name,
                           const std::string& secret);
Result<bool> hasAccount(store::BlockingStore& store, const std::string& name);

}  // namespace godwit::ops
