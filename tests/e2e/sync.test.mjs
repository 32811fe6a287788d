// Offline first: two unmodified kinto.js clients with stores of their own, one server.
import "fake-indexeddb/auto";
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { EventEmitter } from "node:events";
import kinto from "kinto";
import { characters, idOf } from "./dataset.mjs";
import { basic, Server } from "./server.mjs";

const Kinto = kinto.default;
const server = new Server();
let serial = 0;

// One person on one device. The same person on two devices has one account and two stores.
function device(bucket = "notes") {
  const instance = new Kinto({
    remote: server.url,
    bucket,
    headers: { Authorization: basic("carol") },
    adapterOptions: { dbName: `device-${++serial}` },
    events: new EventEmitter(),
  });
  return instance.collection("chars");
}

const everything = async (collection) =>
  (await collection.list({ order: "code" })).data.map(({ code, name, _status }) => ({ code, name, _status }));

before(async () => {
  await server.start();
  const headers = { Authorization: basic("carol"), "Content-Type": "application/json" };
  for (const path of ["/buckets/notes", "/buckets/notes/collections/chars"]) {
    const response = await fetch(server.url + path, { method: "PUT", headers, body: "{}" });
    assert.equal(response.status, 201);
  }
});
after(() => server.remove());

test("what one device wrote offline reaches the other", async () => {
  const laptop = device();
  const phone = device();
  for (const { id, ...c } of characters(40)) await laptop.create({ ...c, id }, { useRecordId: true });
  const pushed = await laptop.sync();
  assert.ok(pushed.ok);
  assert.equal(pushed.published.length, 40);
  const pulled = await phone.sync();
  assert.equal(pulled.created.length, 40);
  assert.deepEqual(await everything(phone), await everything(laptop));
  const again = await phone.sync();
  assert.equal(again.created.length + again.updated.length + again.published.length, 0);
});

test("both edit the same record: conflict, told and then resolved", async () => {
  const laptop = device();
  const phone = device();
  await laptop.sync();
  await phone.sync();
  const id = idOf("0003");
  const read = async (c) => (await c.get(id)).data;
  await laptop.update({ ...(await read(laptop)), name: "from the laptop" });
  await phone.update({ ...(await read(phone)), name: "from the phone" });
  assert.ok((await laptop.sync()).ok);

  const result = await phone.sync({ strategy: Kinto.syncStrategy.MANUAL });
  assert.equal(result.ok, false);
  assert.equal(result.conflicts.length, 1);
  const [conflict] = result.conflicts;
  assert.equal(conflict.remote.name, "from the laptop");
  assert.equal(conflict.local.name, "from the phone");
  await phone.resolve(conflict, { ...conflict.local, name: "both" });
  const after = await phone.sync();
  assert.ok(after.ok);
  await laptop.sync();
  assert.equal((await read(laptop)).name, "both");
});

test("client wins and server wins do what they say", async () => {
  for (const [strategy, winner] of [["CLIENT_WINS", "phone"], ["SERVER_WINS", "laptop"]]) {
    const laptop = device();
    const phone = device();
    await laptop.sync();
    await phone.sync();
    const id = idOf("0004");
    await laptop.update({ ...(await laptop.get(id)).data, name: `laptop ${strategy}` });
    await phone.update({ ...(await phone.get(id)).data, name: `phone ${strategy}` });
    await laptop.sync();
    const result = await phone.sync({ strategy: Kinto.syncStrategy[strategy] });
    assert.ok(result.ok, strategy);
    await laptop.sync();
    assert.equal((await laptop.get(id)).data.name, `${winner} ${strategy}`);
    assert.equal((await phone.get(id)).data.name, `${winner} ${strategy}`);
  }
});

test("deleted here, edited there: nothing is lost silently", async () => {
  const laptop = device();
  const phone = device();
  await laptop.sync();
  await phone.sync();
  const id = idOf("0005");
  await laptop.delete(id);
  await phone.update({ ...(await phone.get(id)).data, name: "still wanted" });
  await laptop.sync();
  const result = await phone.sync({ strategy: Kinto.syncStrategy.MANUAL });
  assert.equal(result.conflicts.length, 1);
  assert.equal(result.conflicts[0].local.name, "still wanted");
});

test("a client that was away for thousands of changes catches up", async () => {
  const traveller = device();
  await traveller.sync();
  const away = characters(3040).slice(40);
  const headers = { Authorization: basic("carol"), "Content-Type": "application/json" };
  for (let i = 0; i < away.length; i += 25) {
    const requests = away.slice(i, i + 25).map((c) => ({
      method: "PUT", path: `/buckets/notes/collections/chars/records/${c.id}`, body: { data: c },
    }));
    const response = await fetch(`${server.url}/batch`, { method: "POST", headers, body: JSON.stringify({ requests }) });
    assert.equal(response.status, 200);
    for (const r of (await response.json()).responses) assert.equal(r.status, 201);
  }
  const gone = away.slice(0, 100);
  for (const c of gone) {
    const response = await fetch(`${server.url}/buckets/notes/collections/chars/records/${c.id}`, { method: "DELETE", headers });
    assert.equal(response.status, 200);
  }
  await server.restart("SIGKILL");
  const result = await traveller.sync();
  assert.ok(result.ok);
  assert.equal(result.created.length, away.length - gone.length);
  const { data } = await traveller.list();
  for (const c of gone) assert.ok(!data.some((r) => r.id === c.id));
});

test("a server that was emptied is told apart from one with nothing new", async () => {
  const laptop = device();
  await laptop.sync();
  const headers = { Authorization: basic("carol"), "Content-Type": "application/json" };
  await fetch(`${server.url}/buckets/notes`, { method: "DELETE", headers });
  for (const path of ["/buckets/notes", "/buckets/notes/collections/chars"]) {
    await fetch(server.url + path, { method: "PUT", headers, body: "{}" });
  }
  await assert.rejects(laptop.sync(), /flush/i);
  await laptop.resetSyncStatus();
  const result = await laptop.sync();
  assert.ok(result.ok);
  assert.ok(result.published.length > 2900);
});
