"""Settings that change what the API answers."""
import hmac
import re
import time
import uuid

from table import PLAIN, Instance, check, row, start_error

BASIC = "kinto.core.authentication.BasicAuthAuthenticationPolicy"
ACCOUNTS = {"includes": "kinto.plugins.accounts", "multiauth.policies": "account",
            "multiauth.policy.account.use": "kinto.plugins.accounts.AccountsPolicy",
            "account_create_principals": "system.Everyone"}
HISTORY = {"includes": "kinto.plugins.history"}


def status(method, path, body=None, user="alice", seeded=True):
    def look(s):
        if seeded:
            s.seed(1)
        return s.ask(method, path, body, user)[0]
    return look


def header(name, path="/v1/", user="", method="GET", send=None, body=None, seeded=False):
    def look(s):
        if seeded:
            s.seed(1)
        return s.ask(method, path, body, user, send)[1].get(name)
    return look


def hello(*keys, user=""):
    def look(s):
        at = s.hello(user)
        for key in keys:
            at = at.get(key) if at else None
        return at
    return look


def page(path="/v1/buckets/b/collections/c/records", records=3):
    def look(s):
        s.seed(records)
        return len(s.get(path)[2]["data"])
    return look


# Features
row("readonly", {"readonly": "true"}, status("PUT", "/v1/buckets/x", {}, seeded=False), 405)
row("batch_max_requests", {"kinto.batch_max_requests": 1}, status("POST", "/v1/batch", {"requests": [{"path": "/"}] * 2}), 400)
row("batch_max_requests", {"batch_max_requests": 0}, hello("settings", "batch_max_requests"), 0)
row("paginate_by", {"kinto.paginate_by": 2}, page(), 2)
row("storage_max_fetch_size", {"storage_max_fetch_size": 1}, page(), 1)
row("explicit_permissions", {"explicit_permissions": "false"}, lambda s: s.put("/v1/buckets/x")[2]["permissions"], {},
    base={"bucket_write_principals": "system.Authenticated"})
row("trailing_slash_redirect_enabled", {"trailing_slash_redirect_enabled": "false"}, status("GET", "/v1/buckets/"), 404)
row("trailing_slash_redirect_ttl_seconds", {"trailing_slash_redirect_ttl_seconds": 7}, header("cache-control", "/v1"), "max-age=7")
row("trailing_slash_redirect_ttl_seconds", {"trailing_slash_redirect_ttl_seconds": 0}, header("pragma", "/v1"), "no-cache")
row("version_prefix_redirect_enabled", {"version_prefix_redirect_enabled": "false"}, status("GET", "/buckets"), 404)
row("version_prefix_redirect_ttl_seconds", {"version_prefix_redirect_ttl_seconds": 7}, header("cache-control", "/"), "max-age=7")
ENABLED = "{plural|object}_{bucket|collection|group|record|account|history|permission}_{get|head|post|put|patch|delete}_enabled"
row(ENABLED, {"plural_bucket_post_enabled": "false"}, status("POST", "/v1/buckets", {}), 405)
row(ENABLED, {"object_record_delete_enabled": "false"}, status("DELETE", "/v1/buckets/b/collections/c/records/r0"), 405)
# A list whose HEAD is switched off still answers it, as GET: without totals.
row(ENABLED, {"plural_bucket_head_enabled": "false"}, header("total-objects", "/v1/buckets", "alice", "HEAD"), None)
row("includes", {"includes": "kinto.plugins.flush"}, status("POST", "/v1/__flush__", {}), 202)
row("includes", {"includes": "default_bucket"}, status("GET", "/v1/buckets/default"), 200)
row("flush_endpoint_enabled", {"flush_endpoint_enabled": "true"}, status("POST", "/v1/__flush__", {}), 202)
row("experimental_permissions_endpoint", {"experimental_permissions_endpoint": "true"}, status("GET", "/v1/permissions"), 200)
row("experimental_collection_schema_validation", {"experimental_collection_schema_validation": "true"},
    lambda s: (s.seed(), s.put("/v1/buckets/b/collections/c", {"data": {"schema": {"required": ["t"]}}}),
               s.put("/v1/buckets/b/collections/c/records/x", {"data": {}})[0])[-1], 400)


def shape_of_id(path):
    def look(s):
        s.seed()
        made = s.ask("POST", path, {})[2]["data"]["id"]
        return "uuid" if re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", made) else f"{len(made)} characters"
    return look


IDS = "{bucket|collection|group|record}_id_generator"
row(IDS, {"bucket_id_generator": "kinto.core.storage.generators.UUID4"}, shape_of_id("/v1/buckets"), "uuid")
row(IDS, {"record_id_generator": "kinto.views.NameGenerator"}, shape_of_id("/v1/buckets/b/collections/c/records"), "8 characters")
row("http_host", {"http_host": "api.example.com:8443"}, hello("url"), "http://api.example.com:8443/v1/")
row("http_scheme", {"http_scheme": "https"}, lambda s: s.hello()["url"][:8], "https://")


def second_delete(wait=0.0):
    """Status of the next page of a paginated DELETE, asked `wait` seconds later."""
    def look(s):
        s.seed(2)
        following = s.ask("DELETE", "/v1/buckets/b/collections/c/records?_limit=1")[1]["next-page"]
        time.sleep(wait)  # only time makes a token expire
        return s.ask("DELETE", following.split(f":{s.port}", 1)[1])[0]
    return look


row("pagination_token_validity_seconds", {"pagination_token_validity_seconds": 1}, second_delete(1.2), 400)
row("cache_max_size_bytes", {"cache_max_size_bytes": 1}, second_delete(), 400)

# Permissions
row("bucket_create_principals", {"bucket_create_principals": "system.Everyone"}, status("PUT", "/v1/buckets/x", {}, ""), 201)
GIVEN = "{bucket|collection|group|record|account|history}_{create|read|write|delete}_principals"
R0 = "/v1/buckets/b/collections/c/records/r0"
row(GIVEN, {"record_create_principals": "system.Authenticated"},
    status("POST", "/v1/buckets/b/collections/c/records", {}, "bob"), 201)
row(GIVEN, {"record_write_principals": "system.Authenticated"}, status("DELETE", R0, user="bob"), 200)
row(GIVEN, {"collection_write_principals": "/buckets/b/groups/g"},
    lambda s: (s.seed(), s.put("/v1/buckets/b/groups/g", {"data": {"members": [s.hello("bob")["user"]["id"]]}}),
               s.ask("PATCH", "/v1/buckets/b/collections/c", {"data": {"a": 1}}, "bob")[0])[-1], 200)
row(GIVEN, {"bucket_read_principals": "system.Everyone"},
    lambda s: (s.put("/v1/buckets/x"), s.get("/v1/buckets/x", "")[0])[-1], 200)
row("permissions_read_principals", {"permissions_read_principals": "system.Authenticated"},
    status("GET", "/v1/permissions", user=""), 401, base={"experimental_permissions_endpoint": "true"})
row("user-data_delete_principals", {"user-data_delete_principals": "system.Authenticated"},
    status("DELETE", "/v1/__user_data__/basicauth:nobody"), 200)

# Authentication
row("multiauth.policies", {"multiauth.policies": "basicauth"}, status("GET", "/v1/buckets"), 200, base={"multiauth.policies": ""})
row("multiauth.policy.{name}.use", {"multiauth.policies": "mine", "multiauth.policy.mine.use": BASIC},
    lambda s: s.hello("alice")["user"]["id"][:5], "mine:")
row("multiauth.policy.{name}.realm", {"multiauth.policy.basicauth.realm": "The shop"},
    header("www-authenticate", "/v1/buckets"), 'Basic realm="The shop"')
row("userid_hmac_secret", {"userid_hmac_secret": "other"}, lambda s: s.hello("a:b")["user"]["id"],
    "basicauth:" + hmac.new(b"other", b"a:b", "sha256").hexdigest())


@check("multiauth.policy.{name}.use")
def a_policy_that_cannot_be_loaded_ends_the_start():
    said = start_error({**PLAIN, "multiauth.policies": "corp", "multiauth.policy.corp.use": "corp.Policy"})
    assert "corp.Policy" in said, said


@check("multiauth.policy.{name}.{parameter}")
def parameters_of_unknown_policies_are_accepted():
    with Instance({**PLAIN, "multiauth.policy.basicauth.debug": "true"}) as s:
        assert s.get("/v1/")[0] == 200
        assert "multiauth.policy.basicauth.debug" not in s.output(), s.output()


# Plugins
row("default_bucket_hmac_secret", {"default_bucket_hmac_secret": "other"}, lambda s: s.hello("a:b")["user"]["bucket"],
    str(uuid.UUID(hmac.new(
        b"other", b"basicauth:" + hmac.new(b"for tests", b"a:b", "sha256").hexdigest().encode(),
        "sha256").hexdigest()[:32])), base={"includes": "default_bucket"})


@check("default_bucket_hmac_secret")
def unset_it_is_an_empty_key_as_in_databases_of_the_predecessor():
    with Instance({**PLAIN, "includes": "default_bucket"}) as s:
        user = s.hello("a:b")["user"]
        digest = hmac.new(b"", user["id"].encode(), "sha256").hexdigest()
        assert user["bucket"] == str(uuid.UUID(digest[:32])), user


def history(settings, want, base=None):
    def look(s):
        s.seed(1)
        s.put("/v1/buckets/b/collections/other")
        for n in range(4):
            s.put("/v1/buckets/b/collections/c/records/r0", {"data": {"n": n}})
        return [e["uri"].rsplit("/", 1)[1] for e in s.get("/v1/buckets/b/history")[2]["data"]]
    row(tuple(settings), settings, look, want, base={**HISTORY, **(base or {})})


history({"history.exclude_resources": "/buckets/b/collections/c"}, ["other", "b"])
ALICE = "basicauth:" + hmac.new(b"for tests", b"alice:secret", "sha256").hexdigest()
history({"history.exclude_user_ids": ALICE}, [])
TRIMMED = {"history.auto_trim_max_count": 2, "history.auto_trim_threshold": 1}
history({"history.auto_trim_max_count": 2}, ["r0", "r0", "r0", "other", "c", "b"], {"history.auto_trim_threshold": 1})
history({"history.auto_trim_threshold": 1}, ["r0", "r0", "r0", "other", "c", "b"], {"history.auto_trim_max_count": 2})
history({"history.auto_trim_user_ids": "basicauth:somebody"}, ["r0", "r0", "r0", "r0", "other", "r0", "c", "b"], TRIMMED)
row(GIVEN, {"history_read_principals": "system.Everyone"},
    lambda s: (s.put("/v1/buckets/x"), s.get("/v1/buckets/x/history", "")[0])[-1], 200, base=HISTORY)

# Response headers
row("cors_origins", {"cors_origins": "http://a.example http://*.b.example"},
    header("access-control-allow-origin", send={"Origin": "http://x.b.example"}), "http://x.b.example")
row("cors_origins", {"cors_origins": "http://a.example"},
    lambda s: s.get("/v1/", "", headers={"Origin": "http://x.example"})[0], 400)
PREFLIGHT = {"Origin": "http://a.example", "Access-Control-Request-Method": "GET"}
row("cors_max_age_seconds", {"cors_max_age_seconds": 60}, header("access-control-max-age", method="OPTIONS", send=PREFLIGHT), "60")
row("cors_max_age_seconds", {"cors_max_age_seconds": ""}, header("access-control-max-age", method="OPTIONS", send=PREFLIGHT), None)
row("cors_max_age_seconds", {"cors_max_age_seconds": 0}, header("access-control-max-age", method="OPTIONS", send=PREFLIGHT), None)
row("retry_after_seconds", {"retry_after_seconds": 42},
    header("retry-after", "/v1/buckets", "alice"), "42", base={"readonly": "true", "storage_backend": "sqlite"})
row("backoff", {"backoff": 10}, header("backoff"), "10")
row("backoff", {"backoff": 10}, header("backoff", "/v1/nowhere"), "10")
row("backoff_percentage", {"backoff_percentage": 0}, header("backoff"), None, base={"backoff": 10})
ALERT = '{"code":"soft-eol","message":%s,"url":"%s"}'
row("eos", {"eos": "2099-12-31"}, header("alert"), ALERT % ("null", "https://kinto.readthedocs.io/"))
row("eos", {"eos": "2016-12-31"}, status("GET", "/v1/buckets"), 410)
row("eos", {"eos": "2099-12-31"}, hello("eos"), "2099-12-31")
row("eos_message", {"eos_message": "Bye"}, header("alert"), ALERT % ('"Bye"', "https://kinto.readthedocs.io/"), base={"eos": "2099-12-31"})
row("eos_url", {"eos_url": "http://new.example"}, header("alert"), ALERT % ("null", "http://new.example"), base={"eos": "2099-12-31"})
row("eos", {"eos": "2099-12-31"}, lambda s: "alert" in s.ask("POST", "/v1/batch", {"requests": [{"path": "/"}]})[1], True)
row("root_cache_expires_seconds", {"root_cache_expires_seconds": 10}, header("cache-control"), "max-age=10", base={"readonly": "true"})
row("root_cache_expires_seconds", {"root_cache_expires_seconds": 0}, header("pragma"), "no-cache", base={"readonly": "true"})
LIST = "/v1/buckets/b/collections/c/records"
CACHED = "{bucket|collection|group|record}_cache_expires_seconds"
for kind, path in (("bucket", "/v1/buckets/b"), ("collection", "/v1/buckets/b/collections"), ("group", "/v1/buckets/b/groups"), ("record", LIST)):
    row(CACHED, {f"{kind}_cache_expires_seconds": 60}, header("cache-control", path, seeded=True), "max-age=60")
row(CACHED, {"record_cache_expires_seconds": 0}, header("pragma", LIST, seeded=True), "no-cache")
row("{bucket}.record_cache_expires_seconds", {"b.record_cache_expires_seconds": 61}, header("cache-control", LIST, seeded=True), "max-age=61")
row("{bucket}_record_cache_expires_seconds", {"b_record_cache_expires_seconds": 62}, header("cache-control", LIST, seeded=True), "max-age=62")
row("{bucket}.{collection}.record_cache_expires_seconds", {"b.c.record_cache_expires_seconds": 63},
    header("cache-control", LIST, seeded=True), "max-age=63", base={"b.record_cache_expires_seconds": 61})

# Project information
for key, value in (("project_name", "My shop"), ("project_version", "7.1"), ("project_docs", "http://docs.example"), ("http_api_version", "1.99")):
    row(key, {key: value}, hello(key), value)
row("error_info_link", {"error_info_link": "http://help.example"}, lambda s: s.get("/v1/__version__")[2].get("info"), "http://help.example")


@check("version_json_path")
def version_shows_the_file():
    for name, settings in (("version.json", {}), ("other.json", {"version_json_path": "other.json"})):
        with Instance({**PLAIN, **settings}) as s:
            assert s.get("/v1/__version__")[0] == 500
            with open(f"{s.data}/{name}", "w", encoding="utf-8") as f:
                f.write('{"commit":"1"}')
            assert s.get("/v1/__version__")[2] == {"commit": "1"}
