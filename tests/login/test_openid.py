#!/usr/bin/env python3
"""OpenID Connect: whose tokens are taken, how a browser logs in, and what a provider's absence does."""
import base64
import json
import subprocess
import sys
import threading
import time
import urllib.parse

from provider import Provider, Server, ask, b64, basic, bearer, promise, run_tests, user_of
from harness import BINARY

USE = "kinto.plugins.openid.OpenIDConnectPolicy"


def settings(more=None, **providers):
    """providers: name -> Provider. `more` overrides."""
    out = {"kinto.includes": "kinto.plugins.openid", "kinto.userid_hmac_secret": "secret",
           "kinto.storage_backend": "memory", "kinto.cache_backend": "memory",
           "multiauth.policies": " ".join(providers)}
    for name, provider in providers.items():
        out |= {f"multiauth.policy.{name}.use": USE, f"multiauth.policy.{name}.issuer": provider.url,
                f"multiauth.policy.{name}.client_id": "abc", f"multiauth.policy.{name}.client_secret": "xyz"}
    return out | (more or {})


@promise
def test_hello_lists_the_providers():
    with Provider() as p, Server(settings=settings(google=p)) as s:
        _, _, body = ask(s, "GET", "/")
        assert body["capabilities"]["openid"]["providers"] == [
            {"name": "google", "issuer": p.url, "auth_path": "/openid/google/login", "client_id": "abc",
             "audience": "", "header_type": "Bearer", "userinfo_endpoint": p.url + "/userinfo"}], body
        assert "user" not in body
        status, _, doc = ask(s, "GET", "/__api__")
        assert doc["securityDefinitions"]["google"]["authorizationUrl"] == p.url + "/authorize", doc
        status, headers, _ = ask(s, "GET", "/buckets")
        assert status == 401 and headers["WWW-Authenticate"] == 'Bearer realm="Realm"', (status, headers)


@promise
def test_a_token_gives_its_owner_an_identity_and_nobody_else_access():
    with Provider() as p, Server(settings=settings(google=p)) as s:
        mine, other = p.token("alice"), p.token("eve")
        _, _, body = ask(s, "GET", "/", bearer(mine))
        assert body["user"]["id"] == "google:alice", body
        assert body["user"]["profile"] == {"sub": "alice", "email": "alice@example.com"}, body
        assert "google:alice" in body["user"]["principals"]
        status, _, body = ask(s, "PUT", "/buckets/mine", bearer(mine), {})
        assert status == 201 and body["permissions"]["write"] == ["google:alice"], body
        assert ask(s, "GET", "/buckets/mine", bearer(mine))[0] == 200
        assert ask(s, "GET", "/buckets/mine", bearer(other))[0] == 403
        assert ask(s, "GET", "/buckets/mine")[0] == 401
        assert ask(s, "GET", "/buckets/mine", bearer("unknown"))[0] == 401
        assert ask(s, "GET", "/buckets/mine", bearer(mine, "Basic"))[0] == 401
        # A batch holds several users.
        items = [{"path": "/buckets/mine"}, {"path": "/buckets/mine", "headers": bearer(other)}]
        _, _, body = ask(s, "POST", "/batch", bearer(mine), {"defaults": {"method": "GET"}, "requests": items})
        assert [r["status"] for r in body["responses"]] == [200, 403], body


@promise
def test_a_verified_token_is_asked_about_once():
    with Provider() as p, Server(settings=settings(google=p)) as s:
        token = p.token("alice")
        for _ in range(5):
            assert user_of(s, bearer(token)) == "google:alice"
        assert p.asked["/userinfo"] == 1, p.asked


@promise
def test_a_verified_token_is_asked_about_again_when_its_time_is_up():
    more = {"multiauth.policy.google.verification_ttl_seconds": "0"}
    with Provider() as p, Server(settings=settings(more, google=p)) as s:
        token = p.token("alice")
        assert user_of(s, bearer(token)) == "google:alice"
        del p.users[token]
        assert user_of(s, bearer(token)) is None


@promise
def test_the_setting_names_which_member_is_the_user_and_which_word_the_header_begins_with():
    more = {"multiauth.policy.google.userid_field": "email", "multiauth.policy.google.header_type": "Bearer+OIDC"}
    with Provider() as p, Server(settings=settings(more, google=p)) as s:
        token = p.token("alice")
        assert user_of(s, bearer(token, "bearer+oidc")) == "google:alice@example.com"
        assert user_of(s, bearer(token)) is None
        p.users["nameless"] = {"sub": "alice"}
        assert user_of(s, bearer("nameless", "Bearer+OIDC")) is None


@promise
def test_with_an_audience_only_tokens_signed_for_it_are_taken():
    with Provider() as p, Server(settings=settings({"multiauth.policy.google.audience": "records"}, google=p)) as s:
        assert user_of(s, bearer(p.token("alice"))) == "google:alice"
        assert user_of(s, bearer(p.token("alice", aud=["x", "records"]))) == "google:alice"
        asked = p.asked["/userinfo"]
        now = int(time.time())
        head, body, _ = p.token("alice").split(".")
        none = b64(b'{"alg":"none","kid":"first"}') + "." + body + "."
        p.users[none] = {"sub": "alice"}
        p.users["opaque"] = {"sub": "alice"}
        forged = head + "." + b64(json.dumps({"iss": p.url, "aud": "records", "sub": "root",
                                              "exp": now + 600}).encode()) + "." + "A" * 342
        p.users[forged] = {"sub": "root"}
        bad = {"expired": p.token("alice", exp=now - 3600), "not yet": p.token("alice", nbf=now + 3600),
               "other audience": p.token("alice", aud="other"), "other issuer": p.token("alice", iss="https://evil"),
               "unsigned": none, "no token": "opaque", "signature of nothing": forged}
        for why, token in bad.items():
            assert user_of(s, bearer(token)) is None, why
            assert ask(s, "GET", "/buckets", bearer(token))[0] == 401, why
        # Refused before the provider was asked who it is.
        assert p.asked["/userinfo"] == asked, p.asked


@promise
def test_a_provider_may_change_its_keys():
    with Provider() as p, Server(settings=settings({"multiauth.policy.google.audience": "records"}, google=p)) as s:
        old = p.key
        assert user_of(s, bearer(p.token("alice"))) == "google:alice"
        p.rotate("second")
        assert user_of(s, bearer(p.token("alice"))) == "google:alice"
        assert p.asked["/jwks"] == 2, p.asked
        # What the withdrawn key signs is worth nothing, and cannot make the server ask without end.
        for n in range(5):
            assert user_of(s, bearer(p.token(f"eve{n}", key=old))) is None
        assert p.asked["/jwks"] == 2, p.asked


@promise
def test_several_policies_are_asked_in_their_order():
    account = {"kinto.includes": "kinto.plugins.openid kinto.plugins.accounts",
               "multiauth.policies": "first second account basicauth",
               "multiauth.policy.account.use": "kinto.plugins.accounts.authentication.AccountsAuthenticationPolicy",
               "multiauth.policy.basicauth.use": "kinto.core.authentication.BasicAuthAuthenticationPolicy",
               "kinto.account_create_principals": "system.Everyone"}
    with Provider() as a, Provider() as b, Server(settings=settings(account, first=a, second=b)) as s:
        assert user_of(s, bearer(a.token("alice"))) == "first:alice"
        assert user_of(s, bearer(b.token("bob"))) == "second:bob"
        shared = a.token("carol")
        b.users[shared] = {"sub": "carl"}
        assert user_of(s, bearer(shared)) == "first:carol"
        assert ask(s, "POST", "/accounts", None, {"data": {"id": "dan", "password": "pw"}})[0] == 201
        assert user_of(s, basic("dan", "pw")) == "account:dan"
        assert user_of(s, basic("dan", "wrong")).startswith("basicauth:")
        challenges = ask(s, "GET", "/buckets")[1].get_all("WWW-Authenticate")
        assert challenges == ['Bearer realm="Realm"'] * 2 + ['Basic realm="Realm"'] * 2, challenges
        # The first is away: who belongs to it cannot be told, all others are as before.
        a.stop()
        status, headers, _ = ask(s, "GET", "/", bearer("never-seen"))
        assert status == 503 and "Retry-After" in headers, status
        assert user_of(s, bearer(b.token("dora"))) == "second:dora"
        assert user_of(s, basic("dan", "pw")) == "account:dan"
        assert user_of(s, bearer(shared)) == "first:carol"  # remembered
        items = [{"path": "/"}, {"path": "/", "headers": bearer(b.token("emil"))}]
        status, _, body = ask(s, "POST", "/batch", basic("dan", "pw"),
                              {"defaults": {"method": "GET"}, "requests": items})
        assert [r["body"]["user"]["id"] for r in body["responses"]] == ["account:dan", "second:emil"], body
        a.start()
        assert user_of(s, bearer(a.token("fred"))) == "first:fred"


@promise
def test_a_provider_that_hangs_delays_nobody_else_and_not_without_end():
    with Provider() as p, Server("--threads", "1", settings=settings(google=p)) as s:
        p.hanging.set()
        answers = []
        waiting = threading.Thread(target=lambda: answers.append(ask(s, "GET", "/", bearer("slow"))))
        waiting.start()
        while "/userinfo" not in p.asked:
            time.sleep(0.01)  # the provider has no event to wait for
        for _ in range(50):
            assert ask(s, "GET", "/")[0] == 200
        assert not answers, "the check ended before the others were answered"
        waiting.join(30)
        assert answers and answers[0][0] == 503, answers
        p.hanging.clear()
        p.release.set()
        assert user_of(s, bearer(p.token("alice"))) == "google:alice"


def login(s, scope="openid email", callback="http://127.0.0.1/app#tokens=", **more):
    query = urllib.parse.urlencode({"callback": callback, "scope": scope, **more})
    status, headers, body = ask(s, "GET", "/openid/google/login?" + query)
    assert status == 307, (status, body)
    url = urllib.parse.urlsplit(headers["Location"])
    return headers["Location"], dict(urllib.parse.parse_qsl(url.query))


@promise
def test_a_browser_logs_in_by_way_of_the_provider():
    more = {"multiauth.policy.google.audience": "records"}
    with Provider() as p, Server(settings=settings(more, google=p)) as s:
        where, query = login(s, prompt="none")
        token_uri = f"http://127.0.0.1:{s.port}/v1/openid/google/token"
        assert where.startswith(p.url + "/authorize?client_id=abc&response_type=code&scope=openid+email&"), where
        state = query.pop("state")
        assert len(state) == 64, state
        assert query == {"client_id": "abc", "response_type": "code", "scope": "openid email", "prompt": "none",
                         "redirect_uri": token_uri, "audience": "records"}, query
        back = "/openid/google/token?" + urllib.parse.urlencode({"code": "c/1", "state": state})
        status, headers, _ = ask(s, "GET", back)
        assert status == 307, status
        sent = headers["Location"].removeprefix("http://127.0.0.1/app#tokens=")
        assert json.loads(base64.b64decode(urllib.parse.unquote(sent))) == p.trade[1], sent
        assert p.trades == [{"code": "c/1", "client_id": "abc", "client_secret": "xyz", "redirect_uri": token_uri,
                             "grant_type": "authorization_code"}], p.trades
        # The state works once.
        status, _, body = ask(s, "GET", back)
        assert status == 400 and body["message"] == "Invalid state" and len(p.trades) == 1, body
        assert body["details"] == [{"location": "body", "name": "state", "description": "Invalid state",
                                    "errno": 105}], body


@promise
def test_the_settings_say_how_long_a_login_may_take_and_what_it_asks_for():
    more = {"multiauth.policy.google.state_ttl_seconds": "1", "multiauth.policy.google.state_length": "16",
            "multiauth.policy.google.scope": "openid groups", "multiauth.policy.google.realm": "The shop", "multiauth.policy.google.client_secret": "other"}
    with Provider() as p, Server(settings=settings(more, google=p)) as s:
        logins = [login(s, scope="")[1] for _ in range(40)]
        assert {q["scope"] for q in logins} == {"openid groups"} and {len(q["state"]) for q in logins} == {32}, logins[0]
        answers = []
        for query in logins:
            answers.append(ask(s, "GET", "/openid/google/token?code=c&state=" + query["state"])[0])
            if answers[-1] == 400:
                break
            time.sleep(0.1)  # until the next one is older
        assert answers[0] == 307 and answers[-1] == 400, answers
        assert p.trades[0]["client_secret"] == "other", p.trades[0]
        assert ask(s, "GET", "/buckets")[1]["WWW-Authenticate"] == 'Bearer realm="The shop"'


@promise
def test_what_the_provider_refuses_goes_to_the_application():
    with Provider() as p, Server(settings=settings(google=p)) as s:
        p.trade = (400, {"error": "invalid_grant"})
        _, query = login(s)
        _, headers, _ = ask(s, "GET", "/openid/google/token?code=c&state=" + query["state"])
        sent = headers["Location"].split("tokens=")[1]
        assert json.loads(base64.b64decode(urllib.parse.unquote(sent))) == p.trade[1], headers
        _, query = login(s)
        p.stop()
        status, headers, _ = ask(s, "GET", "/openid/google/token?code=c&state=" + query["state"])
        assert status == 503 and "Retry-After" in headers and "Location" not in headers, status


@promise
def test_a_login_that_makes_no_sense_is_refused():
    more = {"multiauth.policy.google.userid_field": "email"}
    with Provider() as p, Server(settings=settings(more, google=p)) as s:
        ok = {"callback": "http://ui/", "scope": "openid email"}
        cases = [
            ("google/login", {}, ["callback", "scope"]),
            ("google/login", ok | {"callback": ""}, ["callback"]),
            ("google/login", ok | {"callback": "bad"}, ["callback"]),
            ("google/login", ok | {"callback": "http://ui/\r\nX: 1"}, ["callback"]),
            ("google/login", ok | {"callback": "http://ui/" + "x" * 2048}, ["callback"]),
            ("google/login", {"callback": "http://ui/"}, ["scope"]),
            ("google/login", ok | {"scope": "openid"}, ["scope"]),
            ("google/login", ok | {"prompt": "junk"}, ["prompt"]),
            ("other/login", ok, ["provider"]),
            ("google/token", {}, ["code", "state"]),
            ("google/token", {"code": "c"}, ["state"]),
            ("google/token", {"state": "s"}, ["code"]),
            ("google/token", {"code": "c", "state": "unknown"}, ["state"]),
            ("google/token", {"code": "c", "state": "s" * 5000}, ["state"]),
            ("other/token", {"code": "c", "state": "s"}, ["provider"]),
        ]
        for path, query, names in cases:
            status, headers, body = ask(s, "GET", f"/openid/{path}?" + urllib.parse.urlencode(query))
            assert status == 400 and body["errno"] == 107, (path, query, status, body)
            assert [d["name"] for d in body["details"]] == names, (path, query, body)
            assert "Location" not in headers
        assert not p.trades


@promise
def test_a_server_whose_provider_cannot_be_asked_does_not_start_and_says_which():
    p = Provider()  # not started
    try:
        with Server(settings=settings(google=p)):
            raise AssertionError("started")
    except RuntimeError as e:
        assert p.url in str(e) and "OpenID configuration" in str(e), e
    with Provider() as p:
        for missing in ("multiauth.policy.google.issuer", "multiauth.policy.google.client_id"):
            try:
                with Server(settings=settings({missing: ""}, google=p)):
                    raise AssertionError("started without " + missing)
            except RuntimeError as e:
                assert missing in str(e), e


@promise
def test_no_setting_of_a_provider_is_said_to_have_no_effect():
    with Provider() as p:
        s = Server(settings=settings({"multiauth.policy.google.audience": "records"}, google=p))
        out = subprocess.run([BINARY, "config", "check", "--ini", s.ini], capture_output=True, text=True)
        s.close()
        assert out.returncode == 0 and "no effect" not in out.stdout + out.stderr, out


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
