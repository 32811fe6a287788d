#!/usr/bin/env python3
"""The logins of test_openid and test_fxa again, what they leave behind being in a PostgreSQL and in a Redis server."""
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[1:1] = [os.path.join(HERE, "..", "ops", "pg"), os.path.join(HERE, "..", "serve")]
import test_fxa  # noqa: E402
import test_openid  # noqa: E402
from cluster import Cluster, why_not  # noqa: E402
from harness import BINARY, Server, run_tests  # noqa: E402
from servers import Redis  # noqa: E402


def logins(name, url):
    print(f"-- {name}", flush=True)
    os.environ["GODWIT_TEST_CACHE"] = url
    return run_tests(vars(test_openid)) | run_tests(vars(test_fxa))


def main():
    failed = 0
    with Redis() as redis:
        failed |= logins("redis", redis.url)
    if why_not():
        print("-- postgresql SKIPPED:", why_not())
        return failed
    with Cluster() as cluster:
        whole = Server(settings={f"kinto.{part}_{what}": value for part in ("storage", "permission", "cache")
                                 for what, value in (("backend", "postgresql"), ("url", cluster.tcp_url()))})
        subprocess.run([BINARY, "migrate", "--ini", whole.ini], check=True, stdout=subprocess.DEVNULL)
        whole.close()
        failed |= logins("postgresql", cluster.tcp_url())
        kept = int(cluster.sql("SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = 'cache'")[0][0])
        assert kept > 0, "nothing was remembered there"
    return failed


if __name__ == "__main__":
    sys.exit(main())
