"""Container files, as far as a machine without an engine can try them."""
import os
import re
import subprocess
import tempfile
import unittest

import stack

ENVIRONMENT = {"POSTGRES_PASSWORD": "p", "GODWIT_SECRET": "s"}


class Compose(unittest.TestCase):
    def config(self, **environment):
        return subprocess.run(["docker-compose", "-f", f"{stack.DEPLOY}/docker/compose.yaml", "config"], text=True,
                              capture_output=True, timeout=120, env={"PATH": os.environ["PATH"], **environment})

    def test_the_compose_client_understands_the_stack(self):
        done = self.config(**ENVIRONMENT)
        self.assertEqual(done.returncode, 0, done.stderr)
        for service in ("server", "agent", "postgres", "redis", "influxdb", "nginx"):
            self.assertIn(f"\n  {service}:\n", done.stdout)

    def test_without_secrets_nothing_starts(self):
        done = self.config()
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("set POSTGRES_PASSWORD", done.stderr)

    def test_files_that_are_mounted_exist(self):
        folder = f"{stack.DEPLOY}/docker"
        with open(f"{folder}/compose.yaml", encoding="utf-8") as f:
            mounted = re.findall(r"(\.{1,2}/[\w./-]+):/", f.read())
        self.assertGreaterEqual(len(mounted), 3)
        for path in mounted:
            self.assertTrue(os.path.exists(os.path.join(folder, path)), path)

    def test_the_mounted_settings_are_good(self):
        environment = {**os.environ, "KINTO_STORAGE_URL": "postgresql://g:p@postgres/g",
                       "KINTO_PERMISSION_URL": "postgresql://g:p@postgres/g", "KINTO_CACHE_URL": "redis://redis:6379/1",
                       "KINTO_USERID_HMAC_SECRET": "s"}
        stack.run([stack.GODWIT, "config", "check", "--ini", f"{stack.DEPLOY}/docker/godwit.ini"], env=environment)
        stack.run([stack.AGENT, "config", "check", "--config", f"{stack.DEPLOY}/docker/agent.ini"])

    def test_the_image_holds_every_library_the_programs_load(self):
        with open(f"{stack.DEPLOY}/docker/Dockerfile", encoding="utf-8") as f:
            final = f.read().rsplit("FROM ", 1)[1]
        installed = set(re.findall(r"\b(?:lib|z)[\w.+-]+", final))
        for program in (stack.GODWIT, stack.AGENT):
            needed = re.findall(r"NEEDED.*\[(.*)\]", stack.run(["readelf", "-d", program]))
            for library in needed:
                owners = stack.run(["dpkg", "-S", f"*/{library}"]).splitlines()
                packages = {o.split(":")[0] for o in owners}
                base = {"libc6", "libstdc++6", "libgcc-s1"}
                self.assertTrue(packages & (installed | base), f"{library} is in none of {sorted(installed)}")

    def test_the_server_runs_as_nobody_special_and_tells_its_health(self):
        with open(f"{stack.DEPLOY}/docker/Dockerfile", encoding="utf-8") as f:
            final = f.read().rsplit("FROM ", 1)[1]
        self.assertIn("\nUSER godwit\n", final)
        self.assertIn('CMD ["godwit", "health"]', final)

    def test_the_entry_point_serves_and_is_healthy(self):
        with open(f"{stack.DEPLOY}/docker/Dockerfile", encoding="utf-8") as f:
            words = re.search(r"^ENTRYPOINT (\[.*\])$", f.read(), re.M).group(1)
        port = stack.free_port()
        command = [w.replace(":8888", f"127.0.0.1:{port}") for w in re.findall(r'"([^"]*)"', words)]
        command[0] = stack.RUN
        with tempfile.TemporaryDirectory(prefix="godwit-deploy-") as folder:
            process = subprocess.Popen([*command, stack.GODWIT, "serve"], stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                       env={**os.environ, "STATE_DIRECTORY": folder, "XDG_RUNTIME_DIR": folder})
            try:
                stack.wait_for(f"http://127.0.0.1:{port}/v1/__lbheartbeat__")
                stack.run([stack.GODWIT, "health", "--url", f"http://127.0.0.1:{port}/v1/"])
            finally:
                process.terminate()
                self.assertEqual(process.wait(60), 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
