"""Kadabra's wire, our writer and reader against CPython's json, random messages both ways."""
import datetime
import json
import math
import os
import random
import struct
import subprocess
import unittest

from godwit_metrics import Counter, Dimension, Metrics, Timer, Unit, Units

TOOL = os.environ["WIRE_TOOL"]
FORMATS = ["%Y-%m-%dT%H:%M:%S.%fZ", "%d/%m/%Y %H:%M:%S.%f", "%Y%m%d%H%M%S%f", "%j %Y %H-%M-%S-%f %%",
           "%b %d %Y %H:%M:%S.%f", "%B %d %Y %f %H:%M:%S", "%y %m %d %H:%M:%S.%f"]
CHARS = ["a", "Z", "0", " ", '"', "\\", "/", "\n", "\r", "\t", "\b", "\f", "\0", "\x1f", "\x7f", "\x80",
         "é", "\u2028", "€", "\uffff", "😀", "\U0010ffff", "'", "<", "&"]


def tool(*args, lines=None):
    data = None if lines is None else "".join(line + "\n" for line in lines).encode("utf-8", "surrogatepass")
    out = subprocess.run([TOOL, *args], input=data, stdout=subprocess.PIPE, check=True, timeout=100)
    return out.stdout.decode().splitlines()


class Vectors:
    def __init__(self, seed):
        self.r = random.Random(seed)

    def text(self):
        return "".join(self.r.choice(CHARS) for _ in range(self.r.randrange(1, 9)))

    def number(self):
        r = self.r
        while True:
            kind = r.randrange(6)
            if kind == 0:
                return float(r.randrange(-5, 1000))
            if kind == 1:
                return r.choice([0.0, -0.0, 1e15, 1e16, 1e17, 123456789012345680.0, 1e-4, 1e-5, 0.1, 5e-324,
                                 1.7976931348623157e308, 2.2250738585072014e-308, 9007199254740993.0])
            if kind == 2:
                return r.random() * 10 ** r.randrange(-20, 20)
            x = struct.unpack("<d", struct.pack("<Q", r.getrandbits(64)))[0]
            if math.isfinite(x):
                return x

    def metadata(self):
        values = [lambda: None, lambda: True, lambda: False, lambda: self.r.randrange(-2**63, 2**63), self.number,
                  self.text]
        return {self.text(): self.r.choice(values)() for _ in range(self.r.randrange(4))}

    def when(self):
        return datetime.datetime(1990, 1, 1) + datetime.timedelta(microseconds=self.r.randrange(2**51))

    def unit(self):
        return self.r.choice([Units.SECONDS, Units.MILLISECONDS, Units.MICROSECONDS, Unit("ms", 1000),
                              Unit("minutes", 1 / 60), Unit(self.text(), 0.25)])

    def metrics(self):
        r, few = self.r, lambda make: [make() for _ in range(self.r.randrange(4))]
        form = r.choice(FORMATS)
        return Metrics(
            few(lambda: Dimension(self.text(), self.text())),
            few(lambda: Counter(self.text(), self.when(), self.metadata(), self.number())),
            few(lambda: Timer(self.text(), self.when(), self.metadata(),
                              datetime.timedelta(microseconds=r.randrange(2**r.randrange(1, 45))), self.unit())),
            form, self.when().strftime(form))


class Wire(unittest.TestCase):
    def test_what_cpython_writes_comes_back_byte_for_byte(self):
        v = Vectors(1)
        sent = [json.dumps(v.metrics().serialize()) for _ in range(4000)]
        for mode in ("roundtrip", "binary"):
            got = tool(mode, lines=sent)
            self.assertEqual(len(got), len(sent))
            for a, b in zip(sent, got):
                self.assertEqual(a, b)

    def test_what_we_write_an_old_agent_writes_again_byte_for_byte(self):
        # An agent of the predecessor acknowledges with the text it makes of what it has parsed.
        for line in tool("generate", "4000", "7"):
            parsed = json.loads(line)
            self.assertEqual(json.dumps(parsed), line)
            self.assertEqual(json.dumps(Metrics.deserialize(parsed).serialize()), line)

    def test_foreign_spellings_mean_the_same(self):
        v = Vectors(2)
        for _ in range(300):
            m = v.metrics().serialize()
            shuffled = dict(sorted(m.items(), key=lambda _: v.r.random()))
            for key in ("counters", "timers", "dimensions"):
                shuffled[key] = [dict(sorted(e.items(), key=lambda _: v.r.random())) for e in m[key]]
            text = json.dumps(shuffled, ensure_ascii=False, separators=(",", ":"))
            self.assertEqual(tool("roundtrip", lines=[text]), [json.dumps(m)])

    def test_integers_and_missing_keys_are_taken(self):
        text = ('{"counters": [{"name": "n", "timestamp": "2026-11-20T05:48:16.841713Z", "value": 3}],'
                ' "timers": [], "dimensions": [{"name": "a", "value": 1}]}')
        (got,) = tool("roundtrip", lines=[text])
        self.assertIn('"value": 3.0}', got)
        self.assertIn('"value": "1"}', got)
        self.assertIn('"metadata": {}', got)

    def test_what_python_cannot_parse_we_refuse(self):
        good = json.dumps(Vectors(3).metrics().serialize())
        r = random.Random(3)
        bad = []
        for _ in range(3000):
            s = list(good)
            for _ in range(r.randrange(1, 3)):
                s[r.randrange(len(s))] = r.choice('{}[]",:0e.tn\\ -u')
            text = "".join(s)
            try:
                json.loads(text)
            except ValueError:
                bad.append(text)
        for text, answer in zip(bad, tool("roundtrip", lines=bad)):
            self.assertTrue(answer.startswith("! "), text)


if __name__ == "__main__":
    unittest.main()
