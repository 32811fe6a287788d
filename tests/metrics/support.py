"""Shared by the Python tests: a spool of its own, and a look into it."""
import json
import os
import shutil
import subprocess
import tempfile
import unittest

import godwit_metrics

TOOL = os.environ["WIRE_TOOL"]
SANITIZED = os.environ.get("GODWIT_SANITIZE", "") != ""


def frames(spool):
    """What is in the spool: (flags, samples, message or None, extras) for each frame."""
    out = subprocess.run([TOOL, "dump", spool], stdout=subprocess.PIPE, check=True, timeout=60)
    for line in out.stdout.decode().splitlines():
        kind, flags, samples, text = line.split(" ", 3)
        if kind == "6":  # a note about drops
            continue
        assert kind == "1", line
        message, *extras = text.split("\t")
        yield int(flags), int(samples), json.loads(message), dict(e.rsplit("=", 1) for e in extras)


@unittest.skipIf(SANITIZED, "a sanitized library cannot be loaded into this Python")
class SpoolTest(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="godwit-python-")
        self.spool = os.path.join(self.dir, "spool")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def config(self, **more):
        return {"CLIENT_CHANNEL_ARGS": {"dir": self.spool, "min_free": -1}, **more}

    def client(self, **more):
        client = godwit_metrics.Client(self.config(**more))
        self.addCleanup(client.close)
        return client

    def frames(self):
        return list(frames(self.spool))

    def messages(self):
        return [message for _, _, message, _ in self.frames()]
