"""Runs the C program, then looks into the spool it left."""
import os
import shutil
import subprocess
import sys
import tempfile

from support import frames

spool = tempfile.mkdtemp(prefix="godwit-c-")
try:
    subprocess.run([os.environ["C_PROGRAM"], spool], check=True, timeout=60)
    got = list(frames(spool))
    assert [samples for _, samples, _, _ in got[:2]] == [4, 1], got
    message = got[0][2]
    assert message["dimensions"] == [{"name": "app", "value": "c"}, {"name": "method", "value": "get"}], message
    assert message["counters"][0]["value"] == 3.0
    assert [t["value"] for t in message["timers"]] == [12.5, 1.0]
    assert message["timers"][1]["timestamp"] == "1970-01-01T00:00:00.000005Z"
    assert got[0][3] == {"g": "3.0"}
    handles = {n: float(v) for f in got[2:] for n, v in f[3].items()}
    assert handles["depth"] == 4 and abs(handles["latency"] - 1) < 1e-9, handles
finally:
    shutil.rmtree(spool, ignore_errors=True)
sys.exit(0)
