// What the HTTP client of the npm package kinto can do, method by method, on a server with the
// settings its own integration tests use.
import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { after, before, beforeEach, test } from "node:test";
import kinto from "kinto";
import { basic, Server } from "./server.mjs";

const KintoClient = kinto.KintoClient.default ?? kinto.KintoClient;
const settings = {
  "kinto.storage_backend": "memory",
  "kinto.userid_hmac_secret": "a-secret-string",
  "kinto.bucket_read_principals": "system.Authenticated",
  "kinto.includes":
    "kinto.plugins.default_bucket kinto.plugins.history kinto.plugins.accounts kinto.plugins.flush",
  "kinto.experimental_permissions_endpoint": "True",
  "multiauth.policies": "account basicauth",
  "multiauth.policy.account.use": "kinto.plugins.accounts.authentication.AccountsAuthenticationPolicy",
  "kinto.account_create_principals": "system.Everyone",
  "kinto.paginate_by": "10",
};
const server = new Server(settings);
let api, me;

const client = (at = server, user = "user") =>
  new KintoClient(at.url, { headers: { Authorization: basic(user) }, events: new EventEmitter() });
const ids = (page) => page.data.map((o) => o.id).sort();
const refused = (promise, status) => assert.rejects(promise, (e) => {
  assert.match(e.message, new RegExp(`HTTP ${status}`));
  return true;
});
async function withServer(extra, use) {
  const other = new Server({ ...settings, ...extra });
  try {
    await other.start();
    await use(client(other), other);
  } finally {
    await other.remove();
  }
}

before(() => server.start());
after(() => server.remove());
beforeEach(async () => {
  const flushed = await fetch(`${server.url}/__flush__`, { method: "POST" });
  assert.equal(flushed.status, 202);
  api = client();
  me = (await api.fetchUser()).id;
});

test("settings, capabilities, user and version are told", async () => {
  assert.equal((await api.fetchServerSettings()).batch_max_requests, 25);
  const capabilities = Object.keys(await api.fetchServerCapabilities());
  for (const c of ["accounts", "basicauth", "default_bucket", "flush_endpoint", "history", "permissions_endpoint"]) {
    assert.ok(capabilities.includes(c), c);
  }
  const user = await api.fetchUser();
  assert.match(user.id, /^basicauth:[0-9a-f]{64}$/);
  assert.match(user.bucket, /^[0-9a-f-]{36}$/);
  assert.equal(await api.fetchHTTPApiVersion(), "1.23");
});

test("buckets are created with data and permissions, once when asked to be safe", async () => {
  assert.equal((await api.createBucket()).data.id.length, 8);
  const made = await api.createBucket("blog", { data: { a: 1 }, permissions: { write: ["github:n1k0"] } });
  assert.equal(made.data.a, 1);
  assert.deepEqual(made.permissions.write.sort(), [me, "github:n1k0"].sort());
  await refused(api.createBucket("blog", { safe: true }), 412);
  const { data } = await api.createBucket("blog", { data: { b: 2 } });
  assert.equal(data.a, undefined);
});

test("buckets are deleted, unless they changed, one or all", async () => {
  const { data: first } = await api.createBucket("blog");
  await api.bucket("blog").setData({ a: 1 });
  await refused(api.deleteBucket("blog", { safe: true, last_modified: first.last_modified }), 412);
  await api.deleteBucket("blog");
  assert.deepEqual(ids(await api.listBuckets()), []);
  for (const id of ["b1", "b2"]) await api.createBucket(id);
  assert.deepEqual((await api.deleteBuckets()).data.map((b) => b.deleted), [true, true]);
  assert.deepEqual(ids(await api.listBuckets()), []);
});

test("permissions are listed, filtered, and page by page without loss", async () => {
  for (let i = 1; i <= 15; ++i) await api.createBucket("b" + i);
  const some = await api.listPermissions({ filters: { exclude_resource_name: "root" }, pages: 1 });
  assert.equal(some.data.length, 10);
  for (const sort of ["id", "-id", "uri", "-uri"]) {
    for (const limit of [1, 4]) {
      const all = await api.listPermissions({ pages: Infinity, sort, limit });
      const uris = all.data.map((p) => p.uri);
      assert.equal(new Set(uris).size, uris.length, `${sort} ${limit}`);
      assert.equal(uris.length, 16, `${sort} ${limit}`);
      assert.ok(uris.includes("/") && uris.includes("/buckets/b7"));
    }
  }
});

test("an account is made and can log in", async () => {
  const { data } = await api.createAccount("testuser", "testpw");
  assert.equal(data.id, "testuser");
  const mine = new KintoClient(server.url, { headers: { Authorization: basic("testuser", "testpw") } });
  assert.equal((await mine.fetchUser()).id, "account:testuser");
});

// What every list does, for each kind of list.
const lists = {
  buckets: { make: (id, data) => api.createBucket(id, { data }), list: (o) => api.listBuckets(o) },
  collections: {
    make: (id, data) => api.bucket("lists").createCollection(id, { data }),
    list: (o) => api.bucket("lists").listCollections(o),
  },
  groups: {
    make: (id, data) => api.bucket("lists").createGroup(id, [], { data }),
    list: (o) => api.bucket("lists").listGroups(o),
  },
  records: {
    make: (id, data) => api.bucket("lists").collection("posts").createRecord({ id, ...data }),
    list: (o) => api.bucket("lists").collection("posts").listRecords(o),
  },
};
for (const [kind, { make, list }] of Object.entries(lists)) {
  test(`${kind} are ordered, filtered, followed since a time and paginated`, async () => {
    if (kind !== "buckets") await api.createBucket("lists");
    if (kind === "records") await api.bucket("lists").createCollection("posts");
    const made = [];
    for (let i = 1; i <= 4; ++i) made.push((await make(`x${i}`, { size: i, even: i % 2 === 0, name: `é ${i}` })).data);
    assert.deepEqual((await list({ sort: "size" })).data.map((o) => o.size), [1, 2, 3, 4]);
    assert.deepEqual((await list({ sort: "-size" })).data.map((o) => o.size), [4, 3, 2, 1]);
    assert.deepEqual(ids(await list({ filters: { min_size: 3 } })), ["x3", "x4"]);
    assert.deepEqual(ids(await list({ filters: { even: true } })), ["x2", "x4"]);
    assert.deepEqual(ids(await list({ filters: { name: "é 2" } })), ["x2"]);
    const everything = await list();
    assert.equal(everything.last_modified, String(made[3].last_modified));
    assert.deepEqual(ids(await list({ since: String(made[1].last_modified) })), ["x3", "x4"]);
    assert.deepEqual(ids(everything), ["x1", "x2", "x3", "x4"]);
    const first = await list({ limit: 3, pages: 1 });
    assert.equal(first.data.length, 3);
    assert.equal(first.hasNextPage, true);
    const second = await first.next();
    assert.equal(new Set([...ids(first), ...ids(second)]).size, 4);
    assert.equal(second.hasNextPage, false);
    assert.equal((await list({ limit: 1, pages: 2 })).data.length, 2);
    assert.equal((await list({ limit: 1, pages: Infinity })).data.length, 4);
  });
}

test("a page after the last is empty, and a paginating server can be read to its end", async () => {
  await withServer({ "kinto.paginate_by": "1" }, async (paged) => {
    const collection = paged.bucket("default").collection("posts");
    await collection.batch((b) => [1, 2].forEach((n) => b.createRecord({ n })));
    const one = await collection.listRecords();
    assert.equal(one.data.length, 1);
    assert.equal((await collection.listRecords({ pages: Infinity })).data.length, 2);
    const two = await one.next();
    await assert.rejects(async () => two.next(), /exhausted/);
  });
});

test("data and permissions of buckets and collections are read, set, patched, added to and taken from", async () => {
  await api.createBucket("blog");
  await api.bucket("blog").createCollection("posts");
  for (const place of [api.bucket("blog"), api.bucket("blog").collection("posts")]) {
    const { last_modified: before } = await place.getData();
    await place.setData({ a: 1 });
    await place.setData({ b: 2 }, { patch: true });
    const data = await place.getData();
    assert.deepEqual([data.a, data.b], [1, 2]);
    assert.ok(data.last_modified > before);
    assert.deepEqual((await place.getPermissions()).write, [me]);
    await place.setPermissions({ read: ["github:n1k0"] });
    assert.deepEqual(await place.getPermissions(), { write: [me], read: ["github:n1k0"] });
    await refused(place.setPermissions({ read: ["x"] }, { safe: true, last_modified: before }), 412);
    await refused(place.setData({ c: 3 }, { safe: true, last_modified: before }), 412);
    await place.addPermissions({ read: ["accounts:gabi"] });
    assert.deepEqual((await place.getPermissions()).read.sort(), ["accounts:gabi", "github:n1k0"]);
    await place.removePermissions({ read: ["github:n1k0"] });
    assert.deepEqual((await place.getPermissions()).read, ["accounts:gabi"]);
  }
  await api.bucket("default").setData({ mine: true });
  assert.equal((await api.bucket("default").getData()).mine, true);
});

test("history is listed, ordered, filtered and paginated", async () => {
  await api.createBucket("blog");
  const bucket = api.bucket("blog");
  await bucket.createCollection("posts");
  await bucket.collection("posts").createRecord({ id: "r", title: "one" });
  await bucket.collection("posts").updateRecord({ id: "r", title: "two" });
  const names = async (o) => (await bucket.listHistory(o)).data.map((e) => `${e.action} ${e.resource_name}`);
  assert.deepEqual(await names(), ["update record", "create record", "create collection", "create bucket"]);
  assert.deepEqual((await names({ sort: "last_modified" }))[0], "create bucket");
  assert.deepEqual(await names({ filters: { resource_name: "collection" } }), ["create collection"]);
  assert.deepEqual(await names({ filters: { "target.data.title": "two" } }), ["update record"]);
  const all = await bucket.listHistory();
  assert.equal(all.last_modified, String(all.data[0].last_modified));
  assert.equal((await names({ since: String(all.data[1].last_modified) })).length, 1);
  const page = await bucket.listHistory({ limit: 3, pages: 1 });
  assert.equal(page.data.length, 3);
  // The client adds a page to those before.
  assert.equal((await page.next()).data.at(-1).resource_name, "bucket");
});

test("collections are created and deleted, safely when asked", async () => {
  await api.createBucket("blog");
  const bucket = api.bucket("blog");
  assert.equal((await bucket.createCollection()).data.id.length, 8);
  const { data, permissions } = await bucket.createCollection("posts", { data: { a: 1 }, permissions: { write: ["u:1"] } });
  assert.equal(data.a, 1);
  assert.deepEqual(permissions.write.sort(), [me, "u:1"].sort());
  await refused(bucket.createCollection("posts", { safe: true }), 412);
  await bucket.collection("posts").setData({ b: 2 });
  await refused(bucket.deleteCollection("posts", { safe: true, last_modified: data.last_modified }), 412);
  await bucket.deleteCollection("posts");
  assert.ok(!ids(await bucket.listCollections()).includes("posts"));
});

test("groups are created, read, changed and deleted, safely when asked", async () => {
  await api.createBucket("blog");
  const bucket = api.bucket("blog");
  assert.equal((await bucket.createGroup(undefined, [])).data.id.length, 8);
  const made = await bucket.createGroup("g", ["a"], { data: { level: 1 }, permissions: { write: ["u:1"] } });
  assert.deepEqual([made.data.members, made.data.level], [["a"], 1]);
  assert.deepEqual(made.permissions.write.sort(), [me, "u:1"].sort());
  await refused(bucket.createGroup("g", [], { safe: true }), 412);
  const got = await bucket.getGroup("g");
  assert.deepEqual(got.data.members, ["a"]);
  await bucket.updateGroup({ ...got.data, title: "mod" });
  await bucket.updateGroup({ id: "g", blah: 42 }, { patch: true });
  const { data } = await bucket.getGroup("g");
  assert.deepEqual([data.title, data.blah, data.members], ["mod", 42, ["a"]]);
  await refused(bucket.updateGroup({ ...got.data, x: 1 }, { safe: true }), 412);
  await bucket.updateGroup({ id: "new", members: [] }, { safe: true });
  await refused(bucket.updateGroup({ id: "new", members: [] }, { safe: true }), 412);
  await refused(bucket.deleteGroup("g", { safe: true, last_modified: got.data.last_modified }), 412);
  await bucket.deleteGroup("g");
  assert.ok(!ids(await bucket.listGroups()).includes("g"));
});

test("records are created, read, changed and deleted, safely when asked", async () => {
  await api.createBucket("blog");
  await api.bucket("blog").createCollection("posts");
  const posts = api.bucket("blog").collection("posts");
  assert.equal(await posts.getTotalRecords(), 0);
  const { data: made } = await posts.createRecord({ title: "foo" });
  assert.equal(await posts.getTotalRecords(), 1);
  await refused(posts.createRecord({ id: made.id, title: "x" }, { safe: true }), 412);
  assert.equal((await posts.createRecord({ id: "chosen", title: "y" })).data.id, "chosen");
  await posts.updateRecord({ ...made, title: "mod" });
  await posts.updateRecord({ id: made.id, other: 42 }, { patch: true });
  const { data } = await posts.getRecord(made.id);
  assert.deepEqual([data.title, data.other], ["mod", 42]);
  await posts.updateRecord({ id: "unheard", title: "of" });
  await refused(posts.updateRecord({ ...made, title: "late" }, { safe: true }), 412);
  await posts.updateRecord({ id: "fresh", title: "z" }, { safe: true });
  await refused(posts.updateRecord({ id: "fresh", title: "again" }, { safe: true }), 412);
  await refused(posts.deleteRecord(made.id, { safe: true, last_modified: made.last_modified }), 412);
  const gone = await posts.deleteRecord(made.id);
  assert.equal(gone.data.deleted, true);
  await refused(posts.getRecord(made.id), 404);
  assert.deepEqual(ids(await posts.listRecords()), ["chosen", "fresh", "unheard"]);
});

test("a collection is shown as it was at any time", async () => {
  await api.createBucket("blog");
  await api.bucket("blog").createCollection("posts");
  const posts = api.bucket("blog").collection("posts");
  const at = async (time) =>
    (await posts.listRecords({ at: time })).data.map((r) => `${r.id}=${r.n}`).sort().join(" ");
  const a = (await posts.createRecord({ id: "a", n: 1 })).data.last_modified;
  const b = (await posts.createRecord({ id: "b", n: 2 })).data.last_modified;
  const changed = (await posts.updateRecord({ id: "a", n: 3 })).data.last_modified;
  const deleted = (await posts.deleteRecord("b")).data.last_modified;
  const again = (await posts.createRecord({ id: "b", n: 4 })).data.last_modified;
  const emptied = Math.max(...(await posts.deleteRecords?.() ?? await api.execute({
    method: "DELETE", path: "/buckets/blog/collections/posts/records", headers: { Authorization: basic("user") },
  })).data.map((r) => r.last_modified));
  const last = (await posts.createRecord({ id: "c", n: 5 })).data.last_modified;
  assert.equal(await at(a), "a=1");
  assert.equal(await at(b), "a=1 b=2");
  assert.equal(await at(changed), "a=3 b=2");
  assert.equal(await at(deleted), "a=3");
  assert.equal(await at(again), "a=3 b=4");
  assert.equal(await at(emptied), "");
  assert.equal(await at(last), "c=5");
});

test("batches at the root, in a bucket and in a collection, in chunks and summed up", async () => {
  const rooted = await api.batch((b) => {
    b.createBucket("blog");
    b.bucket("blog").createCollection("posts");
    b.bucket("blog").collection("posts").createRecord({ id: "one", n: 1 });
  });
  assert.deepEqual(rooted.map((r) => r.status), [201, 201, 201]);
  const bucket = api.bucket("blog");
  const inside = await bucket.batch((b) => {
    b.createCollection("notes");
    b.listCollections();
  });
  assert.deepEqual(inside[1].body.data.map((c) => c.id).sort(), ["notes", "posts"]);
  const safely = await bucket.batch((b) => b.createCollection("notes"), { safe: true });
  assert.equal(safely[0].status, 412);
  const sum = await bucket.collection("notes").batch((b) => {
    for (let n = 0; n < 27; ++n) b.createRecord({ n });
    b.deleteRecord("nowhere");
    b.createRecord({ id: "bad id!" });
  }, { aggregate: true });
  assert.equal(sum.published.length, 27);
  assert.equal(sum.conflicts.length, 0);
  assert.equal(sum.skipped.length, 1);
  assert.equal(sum.errors.length, 1);
  assert.equal(await bucket.collection("notes").getTotalRecords(), 27);
});

test("backoff is heeded, the end of the service is announced and then final", async () => {
  await withServer({ "kinto.backoff": "10" }, async (busy) => {
    await busy.listBuckets();
    assert.equal(Math.round(busy.backoff / 1000), 10);
  });
  const day = (n) => new Date(Date.now() + n * 86400000).toJSON().slice(0, 10);
  const said = [];
  const warn = console.warn;
  console.warn = (...words) => said.push(words);
  try {
    const alert = { "kinto.eos_url": "http://www.perdu.com", "kinto.eos_message": "Boom" };
    await withServer({ ...alert, "kinto.eos": `"${day(1)}"` }, async (old) => old.fetchServerSettings());
    assert.deepEqual(said, [["Boom", "http://www.perdu.com"]]);
    const past = new Server({ ...settings, ...alert, "kinto.eos": `"${day(-7)}"` });
    past.ready = async () => {
      while (!past.log.includes("ready")) await new Promise((resolve) => past.child.stderr.once("data", resolve));
    };
    await past.start();
    await refused(client(past).fetchServerSettings(), 410);
    await past.remove();
  } finally {
    console.warn = warn;
  }
});
