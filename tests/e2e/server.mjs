// Starts the binary named by GODWIT_BIN on a free loopback port with a folder of its own. With
// GODWIT_E2E_DATABASES, the URL of a PostgreSQL server, its data are in a database of its own there,
// whatever the settings say.
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const binary = process.env.GODWIT_BIN;
if (!binary) throw new Error("GODWIT_BIN is not set (hint: run through ctest)");

function listening(at) {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen(at, () => resolve(probe));
  });
}

// Nobody else's until this process ends; see tests/ports.py.
export async function freePort() {
  const low = Number(readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8").split(/\s/)[0]);
  const first = Math.min(10000, low - 1);
  for (let attempt = 0; attempt < 10000; ++attempt) {
    const port = first + Math.floor(Math.random() * (low - first));
    let name;
    try {
      name = await listening("\0" + `godwit-test-port-${port}`.padEnd(107, "-"));
      const probe = await listening({ port, host: "127.0.0.1" });
      await new Promise((resolve) => probe.close(resolve));
      name.unref();
      return port;
    } catch {
      name?.close();
    }
  }
  throw new Error("no free port");
}

const databases = process.env.GODWIT_E2E_DATABASES;

// What makes a server use a new, empty database.
function inDatabase(dir) {
  const name = `e2e_${process.pid}_${Math.random().toString(36).slice(2)}`;
  const sql = `CREATE DATABASE ${name}`;
  execFileSync(process.env.GODWIT_E2E_PSQL, ["-X", "-q", "-c", sql, `${databases}postgres`]);
  const env = { ...process.env };
  for (const part of ["STORAGE", "PERMISSION", "CACHE"]) {
    env[`KINTO_${part}_BACKEND`] = "postgresql";
    env[`KINTO_${part}_URL`] = databases + name;
  }
  const ini = join(dir, "migrate.ini");
  writeFileSync(ini, "[app:main]\n");
  execFileSync(binary, ["migrate", "--ini", ini], { env });
  return env;
}

export class Server {
  constructor(settings = {}) {
    this.settings = settings;
    this.dir = mkdtempSync(join(tmpdir(), "godwit-e2e-"));
    this.log = "";
  }

  async start() {
    this.port ??= await freePort();
    const args = ["serve", "--port", String(this.port), "--data-dir", this.dir];
    const lines = Object.entries(this.settings).map(([key, value]) => `${key} = ${value}`);
    if (lines.length > 0) {
      // With a file everything is as the file says; without one the server is ready to try.
      const ini = join(this.dir, "kinto.ini");
      writeFileSync(ini, ["[app:main]", ...lines, ""].join("\n"));
      args.push("--ini", ini);
    }
    this.env ??= databases ? inDatabase(this.dir) : process.env;
    this.child = spawn(binary, args, { env: this.env, stdio: ["ignore", "ignore", "pipe"] });
    this.child.stderr.on("data", (chunk) => (this.log = (this.log + chunk).slice(-65536)));
    this.exited = new Promise((resolve) =>
      this.child.once("exit", (code, signal) => resolve({ code, signal })),
    );
    await this.ready();
    return this;
  }

  // Ready is what the contract says it is: __lbheartbeat__ answers 200.
  async ready() {
    const limit = Date.now() + 30000;
    let gone = null;
    this.exited.then((how) => (gone = how));
    for (;;) {
      if (gone) throw new Error(`server ended (${JSON.stringify(gone)}):\n${this.log}`);
      try {
        const response = await fetch(`${this.url}/__lbheartbeat__`);
        if (response.ok) return;
      } catch {
        // not listening yet
      }
      if (Date.now() > limit) throw new Error(`server not ready:\n${this.log}`);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  get url() {
    return `http://127.0.0.1:${this.port}/v1`;
  }

  async stop(signal = "SIGTERM") {
    this.child.kill(signal);
    return this.exited;
  }

  async restart(signal = "SIGTERM") {
    await this.stop(signal);
    return this.start();
  }

  async remove() {
    if (this.child && this.child.exitCode === null && this.child.signalCode === null) {
      await this.stop("SIGKILL");
    }
    rmSync(this.dir, { recursive: true, force: true });
  }
}

export const basic = (user, password = "s3cret") =>
  `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
