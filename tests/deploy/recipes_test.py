"""The recipes for supervisord, runit and s6, run as they are shipped but for paths and users."""
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest

import stack


@unittest.skipUnless(os.geteuid() == 0, "the recipes change users, which takes root")
class Recipes(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="godwit-deploy-")
        self.port = stack.free_port()
        self.conf = stack.configuration(self.folder.name, self.port)
        self.paths = [("/etc/godwit/godwit-run.conf", self.conf), ("/var/lib/godwit", f"{self.folder.name}/state")]
        for path, _, _ in os.walk(self.folder.name):
            os.chmod(path, 0o777)
        self.process = None

    def tearDown(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)
        self.folder.cleanup()

    def start(self, command):
        with open(f"{self.folder.name}/log", "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            cwd=self.folder.name)
        try:
            stack.wait_for(f"http://127.0.0.1:{self.port}/v1/__lbheartbeat__")
        except OSError:
            with open(f"{self.folder.name}/log", encoding="utf-8") as f:
                self.fail(f.read())

    def reload_under_load(self, hup):
        """Sends HUP as the recipe says, waits for the second generation; no request may fail."""
        control = f"{self.folder.name}/run.sock"
        with stack.Load(self.port) as load:
            load.more()
            with socket.socket(socket.AF_UNIX) as events:
                events.settimeout(60)
                events.connect(control)
                events.sendall(b'{"cmd":"subscribe"}\n')
                lines = events.makefile()
                self.assertTrue(json.loads(lines.readline())["ok"])
                stack.run(hup)
                for line in lines:
                    event = json.loads(line)
                    if event["gen"] == 1 and event.get("text") == "dead":
                        break
            load.more()
        self.assertIn("gen 2", stack.run([stack.RUN, "status", "--control", control]))
        self.assertEqual(load.failures, [])

    def test_supervisord_reloads_by_hup_without_a_failed_request(self):
        f = self.folder.name
        program = stack.deploy_file("supervisord/godwit.conf", [
            *self.paths, ("/var/log/godwit", f), ("user=godwit\n", "user=nobody\n"), ("/etc/godwit/", f"{f}/etc/")])
        program = program.split("[program:godwit-agent]")[0]
        stack.write(f"{f}/supervisord.conf", f"""[supervisord]
nodaemon=true
logfile={f}/supervisord.log
pidfile={f}/supervisord.pid
[unix_http_server]
file={f}/supervisor.sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{f}/supervisor.sock
{program}""")
        self.start(["supervisord", "-c", f"{f}/supervisord.conf"])
        self.reload_under_load(["supervisorctl", "-c", f"{f}/supervisord.conf", "signal", "HUP", "godwit"])

    def test_runit_reloads_by_hup_without_a_failed_request(self):
        service = f"{self.folder.name}/service"
        stack.write(f"{service}/run", stack.deploy_file("runit/godwit/run", [
            *self.paths, ("godwit:godwit", "nobody:nogroup")]), 0o755)
        self.start(["runsv", service])
        self.reload_under_load(["sv", "hup", service])

    def test_s6_waits_for_readiness_and_reloads_by_hup_without_a_failed_request(self):
        service = f"{self.folder.name}/service"
        shutil.copytree(f"{stack.DEPLOY}/s6/godwit", service)
        stack.write(f"{service}/run", stack.deploy_file("s6/godwit/run", [
            *self.paths, ("s6-setuidgid godwit", "s6-setuidgid nobody")]), 0o755)
        self.start(["s6-supervise", service])
        stack.run(["s6-svwait", "-U", "-t", "60000", service])
        self.reload_under_load(["s6-svc", "-h", service])


if __name__ == "__main__":
    unittest.main(verbosity=2)
