// Starts the binary named by GODWIT_BIN on a free loopback port with a folder of its own.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const binary = process.env.GODWIT_BIN;
if (!binary) throw new Error("GODWIT_BIN is not set (hint: run through ctest)");

export function freePort() {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
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
    this.child = spawn(binary, args, { stdio: ["ignore", "ignore", "pipe"] });
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
