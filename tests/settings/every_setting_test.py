"""Every setting of defs/options.toml changes something that can be observed, or says that it has no
effect. usage: every_setting_test.py [PATTERN]   only rows whose setting contains it"""
import concurrent.futures
import os
import re
import sys
import tomllib

import rows_api  # noqa: F401 - registers rows
import rows_outside  # noqa: F401
import rows_server  # noqa: F401
from table import PLAIN, ROWS, Instance

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")

# Settings whose behaviour another test holds: its file and a name in it.
ELSEWHERE = {
    **{f"{store}_{name}": ("tests/pg/kinto_database_test.cc", "read_kinto_settings")
       for store in ("storage", "cache")
       for name in ("pool_size", "max_overflow", "pool_recycle", "pool_timeout", "max_backlog")},
    "godwit.status_supervisor": ("tests/ops/stack/test_up.py", "one_command_starts_a_stack_that_says_in_six_lines_where_it_is"),
    "godwit.status_agent": ("tests/ops/stack/test_page.py", "the_page_shows_the_run_in_a_browser_and_loads_nothing_from_elsewhere"),
    "sentry_env": ("tests/serve/test_sentry.py", "a_500_is_reported_without_anything_secret"),
    "sentry_events_min_level": ("tests/serve/test_sentry.py", "warnings_are_reported_from_the_level_on_that_was_set"),
    "event_listeners.{name}.listname": ("tests/serve/test_listeners.py", "redis_gets_kintos_events"),
    "event_listeners.{name}.resources": ("tests/serve/test_listeners.py", "a_webhook_gets_what_happened_to_each_object"),
    "event_listeners.{name}.queue_size":
        ("tests/serve/test_listeners.py", "a_full_queue_drops_and_counts_and_stopping_does_not_wait_for_a_dead_redis"),
    "event_listeners.{name}.timeout":
        ("tests/serve/test_listeners.py", "a_webhook_that_hangs_holds_up_nothing_and_what_waits_is_sent_before_the_end"),
    "event_listeners.{name}.max_attempts": ("src/kinto/courier_test.cc", "trying_in_vain_ends"),
    "multiauth.policy.{name}.issuer": ("tests/login/test_openid.py", "test_hello_lists_the_providers"),
    "multiauth.policy.{name}.scope": ("tests/login/test_openid.py", "test_a_browser_logs_in_by_way_of_the_provider"),
    "fxa-oauth.cache_ttl_seconds": ("tests/login/test_fxa.py", "test_a_verified_token_is_trusted_for_its_time_and_no_longer"),
    "fxa-oauth.relier.enabled": ("tests/login/test_fxa.py", "test_the_relier_can_be_switched_off"),
    "fxa-oauth.scope": ("tests/login/test_fxa.py", "test_a_page_gets_its_token"),
}

# Settings that nothing observes yet, and why. A name that has got its test must leave this list.
GAPS = {"storage_read_for_all": "wants a replica that is seen to answer a signed-in user"}


def options():
    with open(os.path.join(ROOT, "defs", "options.toml"), "rb") as f:
        return tomllib.load(f)["option"]


def pattern_of(key):
    """"{bucket|group}_x.{name}" as a regular expression."""
    parts = re.split(r"(\{[^}]*\})", key)
    return "".join(f"(?:{p[1:-1]})" if "|" in p else r"[\w-]+" if p.startswith("{") else re.escape(p) for p in parts)


def test_sources():
    for top in ("tests", "src"):
        for folder, _, files in os.walk(os.path.join(ROOT, top)):
            if folder.endswith(os.path.join("tests", "settings")):
                continue
            for name in files:
                if top == "tests" or re.search(r"_test\.cc$", name):
                    yield os.path.join(folder, name)


def uncovered(settings):
    """Settings that no row and no other test sets."""
    left = {s for s in settings if not any(s in row.keys for row in ROWS)}
    for key in sorted(left & set(ELSEWHERE)):
        file, name = ELSEWHERE[key]
        with open(os.path.join(ROOT, file), encoding="utf-8") as f:
            if name in f.read():
                left.discard(key)
    for path in test_sources():
        if not left:
            break
        with open(path, encoding="utf-8", errors="replace") as f:
            text = f.read()
        left -= {s for s in left if re.search(rf"[\"'\n`.]{pattern_of(s)}[\"' =:]", text)}
    return left


def without_effect_is_said(table):
    """Each setting documented as without effect is accepted, and one line says so."""
    quiet = [o for o in table if "no_effect" in o and o["key"] != "settings_prefix"]
    values = {"bool": "{}", "int": "77", "number": "77", "duration": "77", "size": "77", "url": "http://x.example", "list": "abc"}
    settings = {}
    for o in quiet:
        key = re.sub(r"\{([^}|]*)[^}]*\}", r"\1", o["key"])
        value = values.get(o.get("type", "string"), "abc")
        if o.get("type") == "bool":
            value = "false" if o.get("default") == "true" else "true"
        settings[key] = value
    with Instance({**PLAIN, **settings}) as server:
        log = server.last_output()
        silent = [k for k in settings if f"setting '{k}' has no effect" not in log]
        assert not silent, f"nothing was said about {silent}\n{log}"


def judge(row):
    try:
        row.judge()
        return None
    except BaseException as e:  # noqa: BLE001 - the line must name the row whatever broke it
        return f"{type(e).__name__}: {e}"[:2000]


def main():
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    table = options()
    failed = []
    if not wanted:
        keys = [o["key"] for o in table]
        unknown = {k for row in ROWS for k in row.keys} - set(keys)
        if unknown:
            failed.append(f"rows of settings that do not exist: {sorted(unknown)}")
        missing = uncovered(k["key"] for k in table if "no_effect" not in k)
        if missing - set(GAPS):
            failed.append(f"no test of {sorted(missing - set(GAPS))}")
        if set(GAPS) - missing:
            failed.append(f"no gap any more: {sorted(set(GAPS) - missing)}")
        for key, why in GAPS.items():
            print(f"GAP  {key}: {why}")
        try:
            without_effect_is_said(table)
        except Exception as e:  # noqa: BLE001
            failed.append(f"without_effect_is_said: {e}")
    rows = [r for r in ROWS if any(wanted in k for k in r.keys)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for row, error in zip(rows, pool.map(judge, rows)):
            print(f"{'FAIL' if error else 'ok  '} {', '.join(row.keys)}: {row.settings}{': ' + error if error else ''}", flush=True)
            if error:
                failed.append(str(row.settings))
    for line in failed:
        print("FAIL", line)
    print(f"{len(rows)} rows, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
