#!/usr/bin/env python3
"""Fails when a layer includes one it may not know. The table is the architecture (docs/architecture.md)."""
import pathlib
import re
import sys

ALLOWED = {
    "base": set(),
    "net": {"base"},
    "metrics": {"base"},
    "json": {"base"},
    "http": {"base", "net", "metrics"},
    "store": {"base", "json"},
    "auth": {"base", "json", "store"},
    "kinto": {"base", "json", "store", "auth", "net", "http", "metrics"},
    "ops": {"base", "json", "store", "auth", "kinto"},
    "supervise": {"base"},
    "agent": {"base", "metrics", "json"},
    "cli": {"base", "json", "store", "auth", "http", "kinto", "metrics", "ops"},
}
PUBLIC = {"http": {"http"}, "metrics": {"metrics"}}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)
HEAVY = re.compile(r'#\s*include\s+<(boost/|nlohmann/)')

root = pathlib.Path(__file__).resolve().parent.parent
bad = []
for path in sorted([*root.glob("src/**/*.h"), *root.glob("src/**/*.cc"), *root.glob("include/**/*.h")]):
    rel = path.relative_to(root)
    layer = rel.parts[1] if rel.parts[0] == "src" else (rel.parts[2] if len(rel.parts) > 3 else "base")
    text = path.read_text()
    for inc in INCLUDE.findall(text):
        parts = inc.split("/")
        if parts[0] == "godwit":
            target = parts[1] if len(parts) > 2 else "base"
        else:
            target = parts[0]
        if target == layer or target == "base" or target not in ALLOWED:
            continue
        if target not in ALLOWED.get(layer, set()):
            bad.append(f"{rel}: layer {layer} includes {inc} (layer {target})")
    if rel.parts[0] == "include" and HEAVY.search(text):
        bad.append(f"{rel}: a public header shows a Boost or nlohmann type")
for line in bad:
    print(line, file=sys.stderr)
sys.exit(1 if bad else 0)
