#!/usr/bin/python3
"""Runs the commands that the documentation tells a reader to copy.

A block ```sh below `<!-- run -->` is executed; a block ```text right after it is what it must print. The blocks of
one document share one shell, in an empty folder, beside a stack that `godwit up` has just started. The first command
that fails ends it. Ports are replaced by free ones; `<!-- run needs=npm -->` is left out, and said so, where that program is missing.
"""
import difflib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/ops/stack"))
from stack import BINARY, Stack  # noqa: E402

DOCUMENTS = ("README.md", "docs/quickstart.md", "docs/tutorial.md", "docs/operations.md")
BLOCK = re.compile(r"^<!-- run(?: needs=(?P<needs>\S+))? -->\n```sh\n(?P<code>.*?)^```\n(?:```text\n(?P<output>.*?)^```$)?",
                   re.M | re.S)
END = "==== end of block"


def blocks(text):
    marked = len(re.findall(r"^<!-- run", text, re.M))
    found = list(BLOCK.finditer(text))
    assert len(found) == marked, f"{marked} blocks are marked, {len(found)} understood"
    return found


def differs(expected, got):
    """A unified difference, or nothing. Spaces at line ends and empty lines around do not count."""
    a, b = ([line.rstrip() for line in text.strip().splitlines()] for text in (expected, got))
    return "\n".join(difflib.unified_diff(a, b, "in the document", "printed", lineterm=""))


def check(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    found = blocks(text)
    assert found, f"{name}: no block is marked to be run"
    skipped = []
    with Stack() as stack, tempfile.TemporaryDirectory(prefix="godwit-docs-") as folder:
        ports = {"8888": stack.port, "8889": stack.admin, "8135": stack.metrics}

        def mine(words):
            return re.sub(r"(127\.0\.0\.1:)(8888|8889|8135)\b", lambda m: m[1] + str(ports[m[2]]), words)

        script = "set -e\n"
        for i, block in enumerate(found):
            if block["needs"] and not shutil.which(block["needs"]):
                skipped.append(block["needs"])
            else:
                script += mine(block["code"])
            script += f"printf '\\n{END} {i}\\n'\n"
        path = os.path.join(folder, "script")
        with open(path, "w", encoding="utf-8") as f:
            f.write(script)
        stack.up()
        env = {**os.environ, "HOME": folder, "GODWIT_STATE_DIR": stack.folder, "GODWIT_PORT": str(stack.port),
               "PATH": os.path.dirname(BINARY) + ":" + os.environ["PATH"],
               "npm_config_cache": os.environ.get("npm_config_cache", os.path.expanduser("~/.npm"))}
        done = subprocess.run(["sh", path], cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", timeout=300)
    rest = done.stdout
    for i, block in enumerate(found):
        printed, end, rest = rest.partition(f"\n{END} {i}\n")
        where = f"{name}:{text[:block.start()].count(chr(10)) + 1}"
        assert end, f"{where}: a command failed:\n{block['code']}\n{printed[-3000:]}\n{stack.said[-2000:]}"
        if block["output"] is not None and not (block["needs"] in skipped and block["needs"]):
            wrong = differs(mine(block["output"]), printed)
            assert not wrong, f"{where}:\n{wrong}"
    return f"{len(found)} blocks" + (f", left out for lack of {', '.join(skipped)}" if skipped else "")


def main():
    failed = 0
    for name in sys.argv[1:] or DOCUMENTS:
        try:
            print(f"ok   commands of {name}: {check(name)}", flush=True)
        except AssertionError as e:
            failed += 1
            print(f"FAIL commands of {name}: {e}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
