// The HTTP client of the npm package kinto against the real server.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import kinto from "kinto";
import { characters, idOf } from "./dataset.mjs";
import { basic, Server } from "./server.mjs";

const kCount = 10500;
const server = new Server();
let alice, bob, chars;

// The package exports the class in CommonJS dress.
const KintoClient = kinto.KintoClient.default ?? kinto.KintoClient;
const client = (user, options = {}) =>
  new KintoClient(server.url, { headers: { Authorization: basic(user) }, ...options });

before(async () => {
  await server.start();
  alice = client("alice");
  bob = client("bob");
  chars = characters(kCount);
});
after(() => server.remove());

test("hello tells what the client needs", async () => {
  const info = await alice.fetchServerInfo();
  assert.equal(info.http_api_version, "1.23");
  assert.equal(info.settings.batch_max_requests, 25);
  assert.equal(info.url, `${server.url}/`);
  const user = await alice.fetchUser();
  assert.match(user.id, /^basicauth:[0-9a-f]{64}$/);
  assert.notEqual(user.id, (await bob.fetchUser()).id);
});

test("ten thousand real records go in by batch and come back page by page", async () => {
  await alice.createBucket("unicode");
  await alice.bucket("unicode").createCollection("chars");
  const collection = alice.bucket("unicode").collection("chars");
  for (let i = 0; i < chars.length; i += 1000) {
    const slice = chars.slice(i, i + 1000);
    const answers = await collection.batch((b) => slice.forEach((c) => b.createRecord(c)));
    assert.equal(answers.length, slice.length);
    for (const answer of answers) assert.equal(answer.status, 201, JSON.stringify(answer.body));
  }
  assert.equal(await collection.getTotalRecords(), kCount);

  const seen = new Map();
  let page = await collection.listRecords({ limit: 500, sort: "code" });
  let pages = 1;
  for (;;) {
    for (const record of page.data) {
      assert.ok(!seen.has(record.id), `twice: ${record.code}`);
      seen.set(record.id, record);
    }
    if (!page.hasNextPage) break;
    page = await page.next();
    ++pages;
  }
  assert.equal(pages, Math.ceil(kCount / 500));
  assert.equal(seen.size, kCount);
  const codes = [...seen.values()].map((r) => r.code);
  assert.deepEqual(codes, [...codes].sort());
  for (const c of chars) {
    const { last_modified, ...rest } = seen.get(c.id);
    assert.ok(Number.isInteger(last_modified));
    assert.deepEqual(rest, c);
  }
});

test("filters, sorting and field selection agree with the same done here", async () => {
  const collection = alice.bucket("unicode").collection("chars");
  const capitals = await collection.listRecords({ filters: { category: "Lu" }, sort: "code", pages: Infinity });
  assert.deepEqual(
    capitals.data.map((r) => r.code),
    chars.filter((c) => c.category === "Lu").map((c) => c.code).sort(),
  );
  const combining = await collection.listRecords({
    filters: { min_combining: 220, max_combining: 230 }, sort: "-combining,code", pages: Infinity,
  });
  const want = chars.filter((c) => c.combining >= 220 && c.combining <= 230)
    .sort((a, b) => b.combining - a.combining || (a.code < b.code ? -1 : 1));
  assert.deepEqual(combining.data.map((r) => r.code), want.map((c) => c.code));
  const greek = await collection.listRecords({ filters: { like_name: "greek*omega" }, pages: Infinity });
  assert.equal(greek.data.length, chars.filter((c) => /^greek.*omega$/i.test(c.name)).length);
  const fields = await collection.listRecords({ fields: ["name"], limit: 3, pages: 1 });
  for (const record of fields.data) assert.deepEqual(Object.keys(record).sort(), ["id", "last_modified", "name"]);
  const some = await collection.listRecords({ filters: { in_category: "Zs,Zl,Zp" }, pages: Infinity });
  assert.equal(some.data.length, chars.filter((c) => /^Z/.test(c.category)).length);
});

test("a record that changed meanwhile is not overwritten", async () => {
  const collection = alice.bucket("unicode").collection("chars");
  const { data } = await collection.getRecord(idOf("0041"));
  await collection.updateRecord({ ...data, note: "first" }, { safe: true });
  await assert.rejects(collection.updateRecord({ ...data, note: "second" }, { safe: true }), (error) => {
    assert.match(error.message, /412/);
    assert.equal(error.data.details.existing.note, "first");
    return true;
  });
  await assert.rejects(collection.createRecord({ id: data.id, note: "x" }, { safe: true }), /412/);
  await assert.rejects(collection.deleteRecord(data, { safe: true }), /412/);
});

test("patches: merge at the top, and JSON Patch", async () => {
  const collection = alice.bucket("unicode").collection("chars");
  const id = idOf("0042");
  await collection.updateRecord({ id, aliases: ["BE"] }, { patch: true });
  let { data } = await collection.getRecord(id);
  assert.equal(data.name, "LATIN CAPITAL LETTER B");
  assert.deepEqual(data.aliases, ["BE"]);
  await alice.execute({
    method: "PATCH",
    path: `/buckets/unicode/collections/chars/records/${id}`,
    headers: { "Content-Type": "application/json-patch+json", Authorization: basic("alice") },
    body: [
      { op: "test", path: "/data/category", value: "Lu" },
      { op: "add", path: "/data/aliases/-", value: "VE" },
    ],
  });
  ({ data } = await collection.getRecord(id));
  assert.deepEqual(data.aliases, ["BE", "VE"]);
});

test("others see only what they were given", async () => {
  const mine = alice.bucket("unicode").collection("chars");
  const his = bob.bucket("unicode").collection("chars");
  await assert.rejects(his.listRecords(), /403/);
  await assert.rejects(bob.bucket("unicode").getData(), /403/);
  await assert.rejects(bob.bucket("nowhere").getData(), /403/);
  const { id: bobId } = await bob.fetchUser();
  await mine.updateRecord({ id: idOf("0043") }, { patch: true, permissions: { read: [bobId] } });
  const shared = await his.listRecords();
  assert.deepEqual(shared.data.map((r) => r.code), ["0043"]);
  await assert.rejects(his.updateRecord({ id: idOf("0043"), name: "x" }), /403/);
  await mine.addPermissions({ read: [bobId] });
  assert.equal((await his.listRecords({ limit: 10, pages: 1 })).data.length, 10);
  await mine.removePermissions({ read: [bobId] });
  assert.equal((await his.listRecords()).data.length, 1);
});

test("groups grant to their members and stop when they leave", async () => {
  const bucket = alice.bucket("unicode");
  const { id: bobId } = await bob.fetchUser();
  await bucket.createGroup("readers", [bobId]);
  await bucket.setPermissions({ read: ["/buckets/unicode/groups/readers"] });
  assert.equal((await bob.bucket("unicode").getData()).id, "unicode");
  await bucket.updateGroup({ id: "readers", members: [] });
  await assert.rejects(bob.bucket("unicode").getData(), /403/);
});

test("deleting leaves tombstones that sync can see, and the bucket takes all with it", async () => {
  const collection = alice.bucket("unicode").collection("chars");
  const before = await collection.getRecordsTimestamp();
  await collection.deleteRecord(idOf("0044"));
  const changes = await collection.listRecords({ since: before });
  assert.deepEqual(changes.data.map((r) => [r.id, r.deleted]), [[idOf("0044"), true]]);
  await assert.rejects(collection.getRecord(idOf("0044")), /404/);
  await alice.deleteBucket("unicode");
  await alice.createBucket("unicode");
  await alice.bucket("unicode").createCollection("chars");
  assert.equal((await collection.listRecords()).data.length, 0);
  assert.ok((await collection.getRecordsTimestamp()) > before);
});

test("a restart keeps everything", async () => {
  const collection = alice.bucket("unicode").collection("chars");
  await collection.createRecord(chars[7]);
  const { code } = await server.stop();
  assert.equal(code, 0);
  await server.start();
  assert.equal((await collection.getRecord(chars[7].id)).data.name, chars[7].name);
});
