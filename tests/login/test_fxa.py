#!/usr/bin/env python3
"""Firefox Accounts as Kinto's older releases had them."""
import sys
import time
import urllib.parse

from provider import Accounts, Server, ask, bearer, promise, run_tests, user_of


def settings(accounts, more=None):
    out = {"kinto.includes": "kinto_fxa", "kinto.userid_hmac_secret": "secret", "kinto.storage_backend": "memory",
           "kinto.cache_backend": "memory", "multiauth.policies": "fxa",
           "multiauth.policy.fxa.use": "kinto_fxa.authentication.FxAOAuthAuthenticationPolicy",
           "fxa-oauth.oauth_uri": accounts.url + "/v1", "fxa-oauth.client_id": "89513028159972bc",
           "fxa-oauth.client_secret": "xyz", "fxa-oauth.requested_scope": "profile kinto",
           "fxa-oauth.required_scope": "profile:uid kinto",
           "fxa-oauth.webapp.authorized_domains": "*.example.com 127.0.0.1:*"}
    return {k: v for k, v in (out | (more or {})).items() if v is not None}


@promise
def test_a_token_with_the_required_scopes_gives_an_identity():
    with Accounts() as a, Server(settings=settings(a)) as s:
        a.tokens = {"good": ("bob", ["profile", "kinto"]), "sub": ("bob", ["profile:uid", "kinto"]),
                    "less": ("bob", ["profile"]), "near": ("bob", ["pro", "kinto"]), "none": ("bob", [])}
        _, _, body = ask(s, "GET", "/", bearer("good"))
        assert body["user"]["id"] == "fxa:bob" and "profile" not in body["user"], body
        assert set(body["capabilities"]["fxa"]) == {"version", "url", "description"}, body
        assert user_of(s, bearer("sub")) == "fxa:bob"
        for token in ("less", "near", "none", "unknown"):
            assert user_of(s, bearer(token)) is None, token
            assert ask(s, "GET", "/buckets", bearer(token))[0] == 401, token
        assert ask(s, "PUT", "/buckets/b", bearer("good"), {})[0] == 201


@promise
def test_a_verified_token_is_trusted_for_its_time_and_no_longer():
    with Accounts() as a, Server(settings=settings(a, {"fxa-oauth.cache_ttl_seconds": "1"})) as s:
        a.tokens = {"good": ("bob", ["profile", "kinto"])}
        for _ in range(3):
            assert user_of(s, bearer("good")) == "fxa:bob"
        assert a.asked["/v1/verify"] == 1, a.asked
        a.tokens = {}
        limit = time.monotonic() + 20
        # Steady use does not keep a revoked token good.
        while user_of(s, bearer("good")) is not None:
            assert time.monotonic() < limit, "never asked again"
            time.sleep(0.05)  # between two uses
        assert a.asked["/v1/verify"] >= 2, a.asked


@promise
def test_without_a_required_scope_no_token_is_good():
    with Accounts() as a, Server(settings=settings(a, {"fxa-oauth.required_scope": None})) as s:
        a.tokens = {"good": ("bob", ["profile", "kinto"])}
        assert user_of(s, bearer("good")) is None
        assert "required_scope" in s.output()
        assert ask(s, "GET", "/fxa-oauth/params")[2]["scope"] is None


@promise
def test_an_accounts_server_that_is_away_is_a_503_but_for_tokens_it_vouched_for():
    with Accounts() as a, Server(settings=settings(a)) as s:
        a.tokens = {"good": ("bob", ["profile", "kinto"])}
        assert user_of(s, bearer("good")) == "fxa:bob"
        a.stop()
        status, headers, _ = ask(s, "GET", "/", bearer("other"))
        assert status == 503 and "Retry-After" in headers, status
        assert user_of(s, bearer("good")) == "fxa:bob"
        assert ask(s, "GET", "/")[0] == 200


def login(s, redirect="https://app.example.com/?token="):
    return ask(s, "GET", "/fxa-oauth/login?" + urllib.parse.urlencode({"redirect": redirect}))


@promise
def test_a_page_gets_its_token():
    with Accounts() as a, Server(settings=settings(a)) as s:
        assert ask(s, "GET", "/fxa-oauth/params")[2] == {
            "client_id": "89513028159972bc", "oauth_uri": a.url + "/v1", "scope": "profile:uid kinto"}
        status, headers, _ = login(s)
        assert status == 302, status
        where = headers["Location"]
        assert where.startswith(a.url + "/v1/authorization?action=signin&client_id=89513028159972bc&state="), where
        assert where.endswith("&scope=profile+kinto"), where
        state = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(where).query))["state"]
        status, headers, _ = ask(s, "GET", f"/fxa-oauth/token?state={state}&code=1234")
        assert status == 302 and headers["Location"] == "https://app.example.com/?token=traded", headers["Location"]
        assert a.trades == [{"code": "1234", "client_id": "89513028159972bc", "client_secret": "xyz"}], a.trades
        status, _, body = ask(s, "GET", f"/fxa-oauth/token?state={state}&code=1234")
        assert (status, body["errno"], body["error"]) == (408, 104, "Request Timeout"), body
        assert body["message"] == "The OAuth session was not found, please re-authenticate." and len(a.trades) == 1


@promise
def test_a_login_leads_to_authorized_domains_only():
    with Accounts() as a, Server(settings=settings(a)) as s:
        for url in ("http://evil.tld/", "https://app.example.com.evil.tld/", "https://evil.tld/app.example.com",
                    "https://evil.tld\\.example.com", "https://app.example.com:x@evil.tld/", "bad", ""):
            status, _, body = login(s, url)
            assert status == 400 and "redirect" in body["message"], (url, body)
        assert login(s, "http://127.0.0.1:3000/")[0] == 302
    with Accounts() as a, Server(settings=settings(a, {"fxa-oauth.webapp.authorized_domains": None})) as s:
        assert login(s)[0] == 400


@promise
def test_a_code_that_cannot_be_traded_leads_nowhere():
    with Accounts() as a, Server(settings=settings(a)) as s:
        def trade():
            where = login(s)[1]["Location"]
            state = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(where).query))["state"]
            return ask(s, "GET", f"/fxa-oauth/token?state={state}&code=1234")

        a.trade = (400, {"code": 400, "errno": 105})
        status, _, body = trade()
        assert status == 400 and body["details"] == [
            {"location": "querystring", "name": "code",
             "description": "Firefox Account code validation failed."}], body
        a.trade = (200, {"no": "token"})
        assert trade()[0] == 503
        a.stop()
        assert trade()[0] == 503
        for query in ("", "?state=abc", "?code=1234"):
            status, _, body = ask(s, "GET", "/fxa-oauth/token" + query)
            assert status == 400 and "Required" in body["message"], body
        assert ask(s, "GET", "/fxa-oauth/token?state=abc&code=1")[0] == 408


@promise
def test_the_old_name_of_both_scopes_still_counts():
    more = {"fxa-oauth.scope": "kinto", "fxa-oauth.required_scope": None, "fxa-oauth.requested_scope": None}
    with Accounts() as a, Server(settings=settings(a, more)) as s:
        a.tokens = {"good": ("bob", ["kinto"]), "less": ("bob", ["profile"])}
        assert user_of(s, bearer("good")) == "fxa:bob" and user_of(s, bearer("less")) is None
        assert login(s)[1]["Location"].endswith("&scope=kinto")


@promise
def test_a_login_takes_no_longer_than_the_setting_says():
    with Accounts() as a, Server(settings=settings(a, {"fxa-oauth.state.ttl_seconds": "1"})) as s:
        states = []
        for _ in range(40):
            where = login(s)[1]["Location"]
            states.append(dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(where).query))["state"])
        answers = []
        for state in states:
            answers.append(ask(s, "GET", f"/fxa-oauth/token?state={state}&code=1")[0])
            if answers[-1] == 408:
                break
            time.sleep(0.1)  # until the next one is older
        assert answers[0] == 302 and answers[-1] == 408, answers


@promise
def test_several_clients_end_the_start():
    try:
        with Accounts() as a, Server(settings=settings(a, {"fxa-oauth.clients.other.required_scope": "x"})):
            raise AssertionError("started")
    except RuntimeError as e:
        assert "fxa-oauth.clients.other.required_scope" in str(e), e


@promise
def test_the_relier_can_be_switched_off():
    with Accounts() as a, Server(settings=settings(a, {"fxa-oauth.relier.enabled": "false"})) as s:
        assert ask(s, "GET", "/fxa-oauth/login")[0] == 404
        assert ask(s, "GET", "/fxa-oauth/token")[0] == 404
        assert ask(s, "GET", "/fxa-oauth/params")[0] == 200


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
