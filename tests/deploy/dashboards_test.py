"""Dashboard and alert rules name only metrics and labels that the programs really export."""
import json
import os
import re
import subprocess
import tempfile
import unittest
import urllib.request

import yaml

import stack

WORDS = {"sum", "rate", "increase", "by", "le", "histogram_quantile", "on", "ignoring", "avg", "max", "min", "without"}


class Dashboards(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        """Runs all three and keeps {metric: its label names}."""
        cls.exported = {}
        port, agent_port = stack.free_port(), stack.free_port()
        with tempfile.TemporaryDirectory(prefix="godwit-deploy-") as f:
            stack.write(f"{f}/agent.ini", f"[spool]\npath = {f}/spool\n[statsd]\nudp =\n"
                        f"[http]\nlisten = 127.0.0.1:{agent_port}\n[publisher:p]\ntype = prometheus\n")
            quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            processes = [
                subprocess.Popen([stack.RUN, "--control", f"{f}/c", "--listen", f"127.0.0.1:{port}",
                                  "--ready", "probe:/v1/__lbheartbeat__", "--", stack.GODWIT, "serve", "--data-dir", f,
                                  "--set", "includes=kinto.plugins.prometheus kinto.plugins.default_bucket"], **quiet),
                subprocess.Popen([stack.AGENT, "run", "--config", f"{f}/agent.ini"], **quiet)]
            try:
                stack.wait_for(f"http://127.0.0.1:{port}/v1/__lbheartbeat__")
                stack.wait_for(f"http://127.0.0.1:{agent_port}/healthz")
                urllib.request.urlopen(urllib.request.Request(
                    f"http://127.0.0.1:{port}/v1/buckets/default", headers={"Authorization": "Basic YTpi"})).close()
                for url in (f"http://127.0.0.1:{port}/v1/__metrics__", f"http://127.0.0.1:{agent_port}/metrics"):
                    with urllib.request.urlopen(url) as r:
                        cls.collect(r.read().decode())
                cls.collect(stack.run([stack.RUN, "metrics", "--control", f"{f}/c"]))
            finally:
                for p in processes:
                    p.terminate()
                    p.wait(60)

    @classmethod
    def collect(cls, text):
        for line in text.splitlines():
            sample = re.match(r"(\w+)(?:\{(.*)\})? \S+$", line)
            if sample:
                labels = re.findall(r'(\w+)="', sample.group(2) or "")
                cls.exported.setdefault(sample.group(1), set()).update(labels)

    def check(self, expression):
        plain = re.sub(r"\$__\w+|\[[^\]]*\]", "", expression)
        groups = re.findall(r"\bby \(([^)]*)\)", plain)
        plain = re.sub(r"\bby \([^)]*\)", "", plain)
        used = re.findall(r"([a-zA-Z_]\w*)(?:\{([^}]*)\})?", re.sub(r'"[^"]*"', '""', plain))
        names = [(n, re.findall(r"(\w+)\s*[=!]", labels)) for n, labels in used if n not in WORDS]
        self.assertTrue(names, expression)
        known = set()
        for name, labels in names:
            self.assertIn(name, self.exported, expression)
            for label in labels:
                self.assertIn(label, self.exported[name], expression)
            known |= self.exported[name]
        for group in groups:
            for label in group.split(","):
                self.assertIn(label.strip(), known, expression)
        self.assertEqual(expression.count("("), expression.count(")"), expression)

    def test_every_panel_asks_for_what_is_exported(self):
        with open(f"{stack.DEPLOY}/grafana/godwit.json", encoding="utf-8") as f:
            panels = json.load(f)["panels"]
        self.assertGreater(len(panels), 10)
        for panel in panels:
            for target in panel["targets"]:
                with self.subTest(panel["title"]):
                    self.check(target["expr"])
                    metric = re.search(r"\b(?:kinto|godwit)_\w+", target["expr"]).group()
                    for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
                        self.assertIn(label, self.exported[metric])

    def test_every_alert_asks_for_what_is_exported_and_says_what_is_wrong(self):
        with open(f"{stack.DEPLOY}/prometheus/alerts.yml", encoding="utf-8") as f:
            groups = yaml.safe_load(f)["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        self.assertGreater(len(rules), 8)
        for rule in rules:
            with self.subTest(rule["alert"]):
                self.check(rule["expr"])
                self.assertIn(rule["labels"]["severity"], ("page", "ticket"))
                self.assertTrue(rule["annotations"]["summary"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
