"""Settings about servers elsewhere: logins and reports."""
import os
import sys
import urllib.parse

from rows_server import Redis
from table import Instance, check

TESTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path += [os.path.join(TESTS, "login"), os.path.join(TESTS, "serve")]
import test_fxa  # noqa: E402
import test_openid  # noqa: E402
import test_sentry  # noqa: E402


def longest_life(settings, path):
    """Milliseconds that what a login leaves in the cache will live."""
    with Redis() as redis, Instance({**settings, "kinto.cache_backend": "redis", "kinto.cache_url": redis.settings()["cache_url"]}) as s:
        answer = s.get(path, "")
        assert answer[0] in (302, 307), answer
        return max(int(redis.ask("PTTL", key)[0][1:]) for key in redis.ask("KEYS", "*"))


@check("multiauth.policy.{name}.state_ttl_seconds", "fxa-oauth.state.ttl_seconds")
def a_login_may_take_as_long_as_was_set():
    path = "/v1/openid/google/login?" + urllib.parse.urlencode({"callback": "http://127.0.0.1/#", "scope": "openid"})
    with test_openid.Provider() as p:
        base = test_openid.settings(google=p)
        assert longest_life(base, path) > 60_000
        assert 0 < longest_life({**base, "multiauth.policy.google.state_ttl_seconds": 60}, path) <= 60_000
    path = "/v1/fxa-oauth/login?" + urllib.parse.urlencode({"redirect": "https://app.example.com/?token="})
    with test_fxa.Accounts() as a:
        base = test_fxa.settings(a)
        assert longest_life(base, path) > 60_000
        assert 0 < longest_life({**base, "fxa-oauth.state.ttl_seconds": 60}, path) <= 60_000


@check("sentry_breadcrumbs_min_level")
def reports_carry_the_lines_from_the_level_on_that_was_set():
    def crumbs(**more):
        with test_sentry.Receiver() as sentry, test_sentry.server_for(sentry.port, **more) as server:
            server.make_collection()
            test_sentry.fail(server)
            event = test_sentry.event_of(sentry.take()[3])
            return {c["level"] for c in event.get("breadcrumbs", {}).get("values", [])}
    assert "info" in crumbs(), crumbs()
    assert "info" not in crumbs(sentry_breadcrumbs_min_level="40")
