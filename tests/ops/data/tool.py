"""Runs the commands of the godwit binary that look after data. Standard library only."""
import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "serve"))
from harness import AUTH, BINARY, Server, free_port, promise, run_tests, signal  # noqa: E402

CREDENTIALS = "ops:secret"  # those of harness.AUTH
# Nothing of the machine that runs the tests decides what is found.
ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"}


class Done:
    def __init__(self, code, out, err, peak_kib):
        self.code, self.out, self.err, self.peak_mib = code, out, err, peak_kib / 1024

    def json(self):
        return json.loads(self.out)


def godwit(*arguments, stdin=b"", code=0, environment=None):
    """Runs a command to its end and expects an exit code."""
    process = start(*arguments, stdin=subprocess.PIPE, environment=environment)
    try:
        process.stdin.write(stdin if isinstance(stdin, bytes) else stdin.encode())
        process.stdin.close()
    except BrokenPipeError:
        pass
    done = finish(process)
    assert done.code == code, f"{' '.join(arguments)}: exit code {done.code}, not {code}\n{done.out}\n{done.err}"
    return done


def start(*arguments, stdin=subprocess.DEVNULL, environment=None):
    """Its output goes to files, so that it never waits for us."""
    import tempfile
    out, err = tempfile.TemporaryFile(), tempfile.TemporaryFile()
    process = subprocess.Popen([BINARY, *arguments], stdin=stdin, stdout=out, stderr=err,
                               env={**ENVIRONMENT, **(environment or {})})
    process.out_file, process.err_file = out, err
    return process


def finish(process):
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    texts = []
    for f in (process.out_file, process.err_file):
        f.seek(0)
        texts.append(f.read().decode(errors="replace"))
        f.close()
    return Done(process.returncode, *texts, usage.ru_maxrss)


def kill_when(process, reached, limit=600):
    """kill -9 as soon as `reached()` says so. False: it ended before."""
    end = time.monotonic() + limit
    while not reached():
        # Left to be waited for: finish() wants its figures.
        if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return False
        assert time.monotonic() < end, "it never got that far"
        time.sleep(0.005)  # a file or a list that grows tells nobody
    os.kill(process.pid, signal.SIGKILL)
    return True


__all__ = ["AUTH", "BINARY", "CREDENTIALS", "ENVIRONMENT", "Server", "finish", "free_port", "godwit", "kill_when",
           "promise", "run_tests", "signal", "start"]
