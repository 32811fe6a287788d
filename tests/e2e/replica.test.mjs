// What a synchronised collection of kinto.js does in each kind of conflict, and with transformers,
// dumps, pages and servers that are busy, retired or emptied.
import "fake-indexeddb/auto";
import assert from "node:assert/strict";
import { randomUUID as uuid } from "node:crypto";
import { EventEmitter } from "node:events";
import { after, before, beforeEach, test } from "node:test";
import kinto from "kinto";
import { basic, Server } from "./server.mjs";

const Kinto = kinto.default;
const { MANUAL, CLIENT_WINS, SERVER_WINS, PULL_ONLY } = Kinto.syncStrategy;
const settings = {
  "kinto.storage_backend": "memory",
  "kinto.userid_hmac_secret": "a-secret-string",
  "kinto.includes": "kinto.plugins.default_bucket kinto.plugins.flush",
  "multiauth.policies": "basicauth",
  "kinto.paginate_by": "10",
};
const server = new Server(settings);
const auth = { Authorization: basic("user", "pass") };
let serial = 0;

function collection(options = {}, at = server) {
  const instance = new Kinto({
    remote: at.url, headers: auth, events: new EventEmitter(), adapterOptions: { dbName: `replica-${++serial}` },
  });
  return instance.collection("tasks", options);
}
async function remote(method = "GET", id = "", body = undefined, at = server) {
  const response = await fetch(`${at.url}/buckets/default/collections/tasks/records${id && `/${id}`}`, {
    method, headers: { ...auth, "Content-Type": "application/json" }, body: body && JSON.stringify(body),
  });
  assert.ok(response.ok, `${method} ${id}: ${response.status}`);
  return (await response.json()).data;
}
const add = (id, title, at) => remote("PUT", id, { data: { title } }, at);
const titles = (list) => list.map((r) => r.title).sort();
const local = async (tasks) => (await tasks.list()).data.map((r) => `${r.title} ${r._status}`).sort();
// What a sync did, as numbers: errors, conflicts, skipped, created, updated, deleted, published, resolved.
const counts = (result, ...kinds) => kinds.map((k) => result[k].length);
const allKinds = ["errors", "conflicts", "skipped", "created", "updated", "deleted", "published", "resolved"];

before(() => server.start());
after(() => server.remove());
beforeEach(async () => {
  assert.equal((await fetch(`${server.url}/__flush__`, { method: "POST" })).status, 202);
});

test("nothing changed: nothing is done and the time stays", async () => {
  const tasks = collection();
  await add(uuid(), "one");
  await tasks.sync();
  const before = tasks.lastModified;
  const result = await tasks.sync();
  assert.equal(result.ok, true);
  assert.deepEqual(counts(result, ...allKinds), [0, 0, 0, 0, 0, 0, 0, 0]);
  assert.equal(result.lastModified, before);
});

test("both sides have news: each gets the other's, deletions too, every page", async () => {
  const tasks = collection();
  for (let i = 0; i < 24; ++i) await add(uuid(), `remote ${i}`);
  const doomed = (await tasks.create({ title: "doomed" })).data;
  await tasks.sync();
  await tasks.create({ title: "local" });
  await tasks.delete(doomed.id);
  await add(uuid(), "late");
  const result = await tasks.sync();
  assert.equal(result.ok, true);
  assert.deepEqual(counts(result, ...allKinds), [0, 0, 0, 1, 0, 0, 2, 0]);
  const here = (await tasks.list()).data;
  assert.equal(here.length, 26);
  assert.ok(here.every((r) => r._status === "synced"));
  assert.ok(!titles(here).includes("doomed"));
  let there = 0;
  for (let next = `${server.url}/buckets/default/collections/tasks/records`; next; ) {
    const response = await fetch(next, { headers: auth });
    there += (await response.json()).data.length;
    next = response.headers.get("Next-Page");
  }
  assert.equal(there, 26);
});

// A record that both sides made with the same id.
async function incoming(options) {
  const tasks = collection(options);
  const id = uuid();
  await tasks.create({ id, title: "local" }, { useRecordId: true });
  await add(id, "remote");
  return { tasks, id };
}
const encoded = { remoteTransformers: [{ encode: (r) => ({ ...r, title: r.title && r.title + "!" }), decode: (r) => ({ ...r, title: r.title && r.title.replace(/!$/, "") }) }] };

test("conflict on the way in, pull only: the local one is kept, and told", async () => {
  const { tasks } = await incoming();
  const result = await tasks.sync({ strategy: PULL_ONLY });
  assert.deepEqual(counts(result, "errors", "published", "resolved"), [0, 0, 0]);
  assert.deepEqual((await remote()).map((r) => r.title), ["remote"]);
});

test("conflict on the way in, manual: listed at every sync until resolved, others go on", async () => {
  const { tasks } = await incoming();
  for (let round = 0; round < 2; ++round) {
    const result = await tasks.sync({ strategy: MANUAL });
    assert.equal(result.ok, false);
    assert.deepEqual(counts(result, ...allKinds), [0, 1, 0, 0, 0, 0, 0, 0]);
    const [conflict] = result.conflicts;
    assert.deepEqual([conflict.type, conflict.local.title, conflict.remote.title], ["incoming", "local", "remote"]);
  }
  assert.deepEqual(await local(tasks), ["local created"]);
  const other = uuid();
  await tasks.create({ id: other, title: "other local" }, { useRecordId: true });
  await add(other, "other remote");
  const result = await tasks.sync({ strategy: MANUAL });
  assert.equal(result.conflicts.length, 2);
  const [one] = result.conflicts.filter((c) => c.local.title === "local");
  await tasks.resolve(one, { ...one.local, title: "resolved" });
  const next = await tasks.sync({ strategy: MANUAL });
  assert.equal(next.conflicts.length, 1);
  assert.equal(next.conflicts[0].local.title, "other local");
});

for (const [name, strategy, winner] of [["client wins", CLIENT_WINS, "local"], ["server wins", SERVER_WINS, "remote"]]) {
  for (const [dress, options, mark] of [["", {}, ""], [" through transformers", encoded, "!"]]) {
    test(`conflict on the way in, ${name}${dress}`, async () => {
      const { tasks } = await incoming(options);
      const result = await tasks.sync({ strategy });
      assert.equal(result.ok, true);
      assert.deepEqual(counts(result, "errors", "conflicts", "skipped", "resolved"), [0, 0, 0, 1]);
      assert.deepEqual(await local(tasks), [`${winner} synced`]);
      assert.deepEqual(titles(await remote()), [winner === "local" ? "local" + mark : "remote"]);
      assert.equal(result.resolved[0].accepted.title, winner);
    });
  }
}

test("deleted here, changed there: a conflict; deleted on both sides: none left to publish", async () => {
  const tasks = collection();
  const [changed, gone] = [uuid(), uuid()];
  await add(changed, "initial");
  await add(gone, "initial");
  await tasks.sync();
  await tasks.delete(changed);
  await tasks.delete(gone);
  await add(changed, "changed");
  await remote("DELETE", gone);
  const result = await tasks.sync({ strategy: MANUAL });
  assert.equal(result.conflicts.length, 1);
  const [conflict] = result.conflicts;
  assert.deepEqual([conflict.type, conflict.local.id, conflict.remote.title], ["outgoing", changed, "changed"]);
});

// The other side changes between pull and push: the client learns of it when it publishes.
async function outgoing(change, strategy, options = {}) {
  const tasks = collection(options);
  const id = uuid();
  await tasks.create({ id, title: "initial" }, { useRecordId: true });
  await tasks.sync();
  await tasks.update({ id, title: "local" });
  const pull = tasks.pullChanges.bind(tasks);
  tasks.pullChanges = async (...args) => {
    const result = await pull(...args);
    tasks.pullChanges = pull;
    await change(id);
    return result;
  };
  return { tasks, id, result: await tasks.sync({ strategy }) };
}

for (const [what, change] of [["changed", (id) => add(id, "remote")], ["deleted", (id) => remote("DELETE", id)]]) {
  test(`conflict on the way out, ${what} there, manual: listed until resolved`, async () => {
    const { tasks, result } = await outgoing(change, MANUAL);
    assert.equal(result.ok, false);
    assert.deepEqual(counts(result, "errors", "conflicts", "published", "resolved"), [0, 1, 0, 0]);
    assert.equal(result.conflicts[0].local.title, "local");
    const again = await tasks.sync({ strategy: MANUAL });
    assert.equal(again.ok, false);
    assert.equal(again.conflicts.length, 1);
    assert.deepEqual(await local(tasks), ["local updated"]);
  });
  for (const [dress, options, mark] of [["", {}, ""], [" through transformers", encoded, "!"]]) {
    test(`conflict on the way out, ${what} there, client wins${dress}`, async () => {
      const { tasks, result } = await outgoing(change, CLIENT_WINS, options);
      assert.equal(result.ok, true, JSON.stringify(result));
      assert.deepEqual(await local(tasks), ["local synced"]);
      assert.deepEqual(titles(await remote()), ["local" + mark]);
    });
    test(`conflict on the way out, ${what} there, server wins${dress}`, async () => {
      const { tasks, result } = await outgoing(change, SERVER_WINS, options);
      assert.equal(result.ok, true, JSON.stringify(result));
      assert.deepEqual(await local(tasks), what === "changed" ? ["remote synced"] : []);
      assert.deepEqual(titles(await remote()), what === "changed" ? ["remote"] : []);
    });
  }
}

test("a dump that was loaded is brought up to date", async () => {
  const tasks = collection();
  const dump = [1, 2, 3, 4].map((n) => ({ id: uuid(), last_modified: 123455 + n, title: `task${n}` }));
  for (const r of dump) await remote("PUT", r.id, { data: r });
  assert.equal((await remote()).find((r) => r.id === dump[0].id).last_modified, 123456);
  await tasks.importBulk(dump);
  await add(dump[1].id, "task22");
  await add(dump[2].id, "task33");
  const result = await tasks.sync();
  assert.equal(result.ok, true);
  assert.equal(result.updated.length, 2);
  assert.deepEqual(titles((await tasks.list()).data), ["task1", "task22", "task33", "task4"]);
});

test("more records than a batch holds, with ids of the application's own making", async () => {
  let next = 0;
  const tasks = collection({ idSchema: { generate: () => `n${next++}`, validate: (id) => /^n\d+$/.test(id) } });
  for (let i = 0; i < 35; ++i) await tasks.create({ title: `t${i}` });
  const result = await tasks.sync();
  assert.equal(result.published.length, 35);
  assert.equal((await remote("GET", "n34")).title, "t34");
  assert.equal((await collection({ idSchema: { generate: () => "x", validate: () => true } }).sync()).created.length, 35);
});

test("a deletion that a transformer turns into a change is published as one", async () => {
  const keep = {
    encode: (r) => (r._status === "deleted" ? { ...r, _status: "updated", wasDeleted: true } : r),
    decode: (r) => (r.wasDeleted ? { ...r, deleted: true } : r),
  };
  const tasks = collection({ remoteTransformers: [keep] });
  const { data } = await tasks.create({ title: "kept" });
  await tasks.sync();
  await tasks.delete(data.id);
  const result = await tasks.sync();
  assert.equal(result.ok, true, JSON.stringify(result));
  assert.equal((await remote("GET", data.id)).wasDeleted, true);
  assert.deepEqual(await local(tasks), []);
});

async function withServer(extra, use) {
  const other = new Server({ ...settings, ...extra });
  try {
    await other.start();
    await use(other);
  } finally {
    await other.remove();
  }
}

test("an emptied server is noticed, and can be filled again", async () => {
  const tasks = collection();
  await tasks.create({ title: "mine" });
  await tasks.sync();
  assert.equal((await fetch(`${server.url}/__flush__`, { method: "POST" })).status, 202);
  await assert.rejects(tasks.sync(), /flush/i);
  await tasks.resetSyncStatus();
  assert.equal((await tasks.sync()).published.length, 1);
});

test("a busy server is left alone, a retired one is told of", async () => {
  await withServer({ "kinto.backoff": "10" }, async (busy) => {
    const tasks = collection({}, busy);
    await tasks.sync();
    await assert.rejects(tasks.sync(), /back off.*10s/i);
  });
  const said = [];
  const warn = console.warn;
  console.warn = (...words) => said.push(words);
  try {
    const tomorrow = new Date(Date.now() + 86400000).toJSON().slice(0, 10);
    const eos = { "kinto.eos": `"${tomorrow}"`, "kinto.eos_url": "http://www.perdu.com", "kinto.eos_message": "Boom" };
    await withServer(eos, async (old) => collection({}, old).sync());
  } finally {
    console.warn = warn;
  }
  assert.deepEqual(said[0], ["Boom", "http://www.perdu.com"]);
});
