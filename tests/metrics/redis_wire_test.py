"""Messages of ours in the predecessor's Redis lists: its agents must be able to acknowledge them,
which they do by removing the text that they themselves make of what they received."""
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import unittest

from godwit_metrics import Metrics

try:
    import redis
except ImportError:
    redis = None

TOOL = os.environ["WIRE_TOOL"]


@unittest.skipIf(redis is None or not shutil.which("redis-server"), "redis is not installed")
class OldAgent(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="godwit-redis-")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        with socket.create_server(("127.0.0.1", 0)) as s:
            port = s.getsockname()[1]
        server = subprocess.Popen(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "",
                                   "--dir", self.dir], stdout=subprocess.DEVNULL)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        self.redis = redis.StrictRedis(port=port)
        deadline = time.monotonic() + 30
        while True:
            try:
                self.redis.ping()
                return
            except redis.ConnectionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def test_it_acknowledges_every_one(self):
        made = subprocess.run([TOOL, "generate", "1500", "23"], stdout=subprocess.PIPE, check=True, timeout=60)
        for line in made.stdout.decode().splitlines():
            self.redis.lpush("kadabra_queue", line)
        received = 0
        while True:
            raw = self.redis.rpoplpush("kadabra_queue", "kadabra_inprogress")
            if raw is None:
                break
            metrics = Metrics.deserialize(json.loads(raw))
            received += self.redis.lrem("kadabra_inprogress", 1, json.dumps(metrics.serialize()))
        self.assertEqual(received, 1500)
        self.assertEqual(self.redis.llen("kadabra_inprogress"), 0)


if __name__ == "__main__":
    unittest.main()
