// Accounts, by role: nobody, the account's owner, another account, an administrator.
#include "kinto/plugins/accounts.h"
#include "kinto/plugins/catalog.h"
#include "scenario_test.h"
#include "store/memory/memory.h"

namespace godwit::kinto {
namespace {

constexpr const char* kUse = "kinto.plugins.accounts.authentication.AccountsAuthenticationPolicy";

// Passwords are "secret", which is what TestApp sends.
constexpr const char* kAlice = R"({"data":{"id":"alice","password":"secret","age":42}})";
constexpr const char* kMe = R"({"data":{"password":"secret"}})";

Config accountsConfig() {
  Config config;
  config.policies.push_back({"account", kUse});
  config.principals["account_create_principals"] = {"system.Everyone"};
  config.raw["includes"] = "kinto.plugins.accounts";
  return config;
}

std::unique_ptr<TestApp> makeApp(const Config& config, const std::string& backend = "memory") {
  return std::make_unique<TestApp>(config, backend, choosePlugins(config));
}

std::string startError(const Config& config) {
  auto backend = store::makeMemoryBackend();
  auto cache = store::makeMemoryCache();
  App::Parts parts;
  parts.backend = backend.get();
  parts.cache = cache.get();
  parts.plugins = choosePlugins(config);
  auto app = App::make(config, std::move(parts));
  return app.ok() ? "" : app.error().message;
}

class Accounts : public ::testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<TestApp> t = makeApp(accountsConfig(), GetParam());
};
GODWIT_ON_EACH(Accounts, TestApp::backendsAndCaches());

TEST_P(Accounts, anybody_may_make_an_account_and_be_its_owner) {
  Seen made = t->post("/accounts", "", kAlice);
  ASSERT_EQ(made.status, 201) << made.body;
  EXPECT_EQ(made.at("/data/age"), "42");
  EXPECT_EQ(made.at("/data/password").substr(0, 5), "\"$2b$");
  EXPECT_EQ(t->get("/", "alice").at("/user/id"), "\"account:alice\"");
  Seen own = t->get("/accounts/alice", "alice");
  EXPECT_EQ(own.status, 200);
  EXPECT_EQ(own.at("/permissions"), R"({"write":["account:alice"]})");
  EXPECT_EQ(t->put("/accounts/bob+1@example.com", "", kMe).status, 201);
}

TEST_P(Accounts, nobody_sees_accounts) {
  ASSERT_EQ(t->post("/accounts", "", kAlice).status, 201);
  EXPECT_EQ(t->get("/accounts").status, 401);
  EXPECT_EQ(t->get("/accounts/alice").status, 401);
  EXPECT_EQ(t->get("/accounts/unknown").status, 401);
  EXPECT_EQ(t->put("/accounts/alice", "", kMe).status, 401);
  EXPECT_EQ(t->post("/accounts", "", kAlice).status, 401);
  EXPECT_EQ(t->get("/", "stranger").at("/user"), "");
}

TEST_P(Accounts, others_see_their_own_only) {
  ASSERT_EQ(t->post("/accounts", "", kAlice).status, 201);
  ASSERT_EQ(t->put("/accounts/bob", "", kMe).status, 201);
  EXPECT_EQ(t->get("/accounts/alice", "bob").status, 403);
  EXPECT_EQ(t->get("/accounts/unknown", "bob").status, 403);
  EXPECT_EQ(t->patch("/accounts/alice", "bob", kMe).status, 403);
  EXPECT_EQ(t->del("/accounts/alice", "bob").status, 403);
  Seen list = t->get("/accounts", "bob");
  EXPECT_EQ(list.at("/data/0/id"), "\"bob\"");
  EXPECT_EQ(list.at("/data/1"), "");
  Seen other = t->post("/accounts", "bob", R"({"data":{"id":"carl","password":"secret"}})");
  EXPECT_EQ(other.status, 400);
  EXPECT_NE(other.body.find("do not match"), std::string::npos) << other.body;
}

TEST_P(Accounts, the_owner_changes_the_password_and_the_old_one_is_worth_nothing_at_once) {
  ASSERT_EQ(t->post("/accounts", "", kAlice).status, 201);
  ASSERT_EQ(t->get("/accounts/alice", "alice").status, 200);  // remembered from here on
  Seen before = t->get("/accounts/alice", "alice");
  Seen meta = t->patch("/accounts/alice", "alice", R"({"data":{"age":"captain"}})");
  EXPECT_EQ(meta.at("/data/password"), before.at("/data/password"));
  ASSERT_EQ(t->patch("/accounts/alice", "alice", R"({"data":{"password":"new"}})").status, 200);
  EXPECT_EQ(t->get("/accounts/alice", "alice").status, 401);
  HeaderList with_new = {{"Authorization", "Basic YWxpY2U6bmV3"}};  // alice:new
  EXPECT_EQ(t->get("/accounts/alice", "", with_new).status, 200);
  EXPECT_EQ(t->del("/accounts/alice", "", with_new).status, 200);
  EXPECT_EQ(t->get("/accounts/alice", "", with_new).status, 401);
}

TEST_P(Accounts, an_account_needs_an_id_and_a_password) {
  EXPECT_EQ(t->post("/accounts", "", R"({"data":{"id":"me"}})").status, 400);
  EXPECT_EQ(t->post("/accounts", "", kMe).status, 400);
  EXPECT_EQ(t->post("/accounts", "", R"({"data":[]})").status, 400);
  EXPECT_EQ(t->post("/accounts", "", R"({"data":{"id":"me","password":1}})").status, 400);
  EXPECT_EQ(t->post("/accounts", "", R"({"data":{"id":"me","password":"a\u0000b"}})").status, 400);
  Seen two = t->put("/accounts/alice", "", R"({"data":{"id":"bob","password":"secret"}})");
  EXPECT_EQ(two.status, 400);
  EXPECT_NE(two.body.find("does not match"), std::string::npos) << two.body;
}

TEST_P(Accounts, an_administrator_has_all_of_them) {
  Config config = accountsConfig();
  config.principals["account_write_principals"] = {"account:admin"};
  config.principals["account_read_principals"] = {"account:admin"};
  auto app = makeApp(config, GetParam());
  ASSERT_EQ(app->put("/accounts/admin", "", kMe).status, 201);
  ASSERT_EQ(app->post("/accounts", "", kAlice).status, 201);
  EXPECT_EQ(app->get("/accounts/alice", "admin").status, 200);
  EXPECT_EQ(app->get("/accounts/admin", "alice").status, 403);
  EXPECT_NE(app->get("/accounts", "admin").at("/data/1/id"), "");
  ASSERT_EQ(app->put("/accounts/bob", "admin", kMe).status, 201);
  EXPECT_EQ(app->get("/accounts/bob", "bob").at("/permissions"), R"({"write":["account:bob"]})");
  ASSERT_EQ(app->patch("/accounts/bob", "admin", R"({"data":{"password":"new"}})").status, 200);
  EXPECT_EQ(app->get("/accounts/bob", "bob").status, 401);
  EXPECT_EQ(app->del("/accounts/alice", "admin").status, 200);
  EXPECT_EQ(app->get("/accounts/alice", "alice").status, 401);
}

TEST(AccountSettings, errors_at_the_start_name_their_cause) {
  Config config = accountsConfig();
  EXPECT_EQ(startError(config), "");
  config.policies = {{"basicauth", ""}};
  EXPECT_NE(startError(config).find("Account policy missing"), std::string::npos);
  config.policies = {{"basicauth", ""}, {"account", kUse}};
  EXPECT_NE(startError(config).find("'basicauth' should not be mentioned before 'account'"),
            std::string::npos);
  config.policies = {{"account", kUse}, {"basicauth", ""}};
  EXPECT_EQ(startError(config), "");
  config.principals["account_create_principals"] = {"account:admin", "account:boss"};
  config.principals["account_write_principals"] = {"account:boss"};
  EXPECT_NE(startError(config).find("['account:admin']"), std::string::npos) << startError(config);
  config.policies = {{"account", "some.python.Policy"}};
  config.raw["includes"] = "";
  EXPECT_NE(startError(config).find("no policy is known for \"account\""), std::string::npos);
}

}  // namespace
}  // namespace godwit::kinto
