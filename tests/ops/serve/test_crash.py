"""kill -9 at any moment: what was acknowledged is there afterwards."""
import asyncio
import itertools
import json
import os
import random
import sqlite3
import sys

from harness import Broken, Connection, Server, promise, run_tests

ROUNDS = int(os.environ.get("ROUNDS", "20"))
WRITES = 2000
CLIENTS = 64


async def write_until_killed(server, tag, kill_after):
    """64 connections write as fast as they are answered; the server is killed after so many answers."""
    acknowledged, serial = set(), itertools.count()
    dead = asyncio.Event()

    async def client():
        connection = await Connection(server.port).open()
        try:
            while not dead.is_set():
                ident = f"{tag}-{next(serial)}"
                body = json.dumps({"data": {"n": ident, "pad": "x" * 200}}).encode()
                status, payload = await connection.ask("PUT", f"/buckets/ops/collections/items/records/{ident}", body)
                assert status == 201, (status, payload)
                acknowledged.add(ident)
                if len(acknowledged) == kill_after:
                    server.kill()
                    dead.set()
        except Broken:
            assert dead.is_set(), "the connection broke before the kill"
        finally:
            connection.close()

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return acknowledged


@promise
def kill_9_of_the_server_loses_no_acknowledged_write():
    server = Server()
    everything = set()
    try:
        server.start()
        server.make_collection()
        for round_number in range(ROUNDS):
            kill_after = random.randint(WRITES // 2, WRITES)
            everything |= asyncio.run(write_until_killed(server, f"r{round_number}", kill_after))
            database = next(os.path.join(server.data, f) for f in os.listdir(server.data) if f.endswith((".db", ".sqlite", ".sqlite3")))
            server.start()
            missing = everything - server.all_ids()
            assert not missing, f"round {round_number}: {len(missing)} acknowledged writes are gone"
            check = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
            assert check.execute("pragma integrity_check").fetchone() == ("ok",)
            check.close()
    finally:
        server.close()
    return f"{ROUNDS} kills, {len(everything)} acknowledged writes, 0 lost"


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
