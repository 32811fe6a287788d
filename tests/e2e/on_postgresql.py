"""Runs the scenarios of this folder with every server on a database of its own in one private PostgreSQL.
usage: on_postgresql.py NODE FILE..."""
import os
import subprocess
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "ops", "pg"))
from cluster import Cluster, binary, why_not  # noqa: E402


def main():
    if why_not():
        print("SKIPPED:", why_not())
        return 77
    node, *files = sys.argv[1:]
    with Cluster() as cluster:
        told = {"GODWIT_E2E_DATABASES": cluster.tcp_url(""), "GODWIT_E2E_PSQL": binary("psql")}
        return subprocess.run([node, "--test", *files], env={**os.environ, **told}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
