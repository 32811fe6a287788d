// The document at /__api__, judged by a validator that is not ours, and held against what the server
// answers.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import SwaggerParser from "@apidevtools/swagger-parser";
import { Server } from "./server.mjs";

const settings = {
  "kinto.storage_backend": "memory",
  "kinto.cache_backend": "memory",
  "kinto.userid_hmac_secret": "secret",
  "kinto.experimental_permissions_endpoint": "true",
  "kinto.includes": ["accounts", "admin", "counters", "default_bucket", "flush", "history", "openid", "prometheus"]
    .map((name) => `kinto.plugins.${name}`).join(" ") + " kinto_fxa",
  "multiauth.policies": "account basicauth",
  "multiauth.policy.account.use": "kinto.plugins.accounts.AccountsPolicy",
  "kinto.account_create_principals": "system.Everyone",
};
const mat = { Authorization: "Basic " + btoa("mat:secret"), "Content-Type": "application/json" };

let server;
let document;

before(async () => {
  server = await new Server(settings).start();
  document = await (await fetch(`${server.url}/__api__`)).json();
});
after(() => server.remove());

test("it is a valid OpenAPI 2.0 document", async () => {
  const copy = structuredClone(document);
  await SwaggerParser.validate(copy);
  assert.equal(copy.swagger, "2.0");
});

test("it names this server", () => {
  assert.equal(document.host + document.basePath, server.url.replace("http://", ""));
  assert.deepEqual(document.schemes, ["http"]);
  assert.deepEqual(document.securityDefinitions.basicauth, { type: "basic" });
});

test("operations have the names generated clients know", () => {
  const ids = Object.values(document.paths).flatMap((path) =>
    Object.values(path).map((operation) => operation.operationId).filter(Boolean));
  assert.equal(new Set(ids).size, ids.length, "each once");
  for (const id of ["server_info", "__heartbeat__", "batch", "get_buckets", "create_bucket", "delete_buckets",
    "get_bucket", "update_bucket", "patch_bucket", "delete_bucket", "create_record", "get_records",
    "update_collection", "patch_group", "get_history", "delete_history", "create_account"]) {
    assert.ok(ids.includes(id), id);
  }
  assert.deepEqual(document.paths["/buckets"].get.tags, ["Buckets"]);
  assert.deepEqual(document.paths["/"].get.security, []);
  assert.deepEqual(document.paths["/buckets"].get.security, [{ account: [] }, { basicauth: [] }]);
});

// Whether a value has the type, the required members and the properties of a schema.
function fits(schema, value, where) {
  if (schema.$ref) schema = document.definitions[schema.$ref.split("/").pop()];
  const is = Array.isArray(value) ? "array" : Number.isInteger(value) ? "integer" : typeof value;
  if (schema.type) assert.equal(is, schema.type, where);
  for (const name of schema.required ?? []) assert.ok(name in value, `${where}.${name}`);
  for (const [name, inner] of Object.entries(schema.properties ?? {})) {
    if (value[name] !== undefined) fits(inner, value[name], `${where}.${name}`);
  }
  if (schema.items) value.forEach((each, i) => fits(schema.items, each, `${where}[${i}]`));
}

test("every answer is one that the document tells of", async () => {
  const bodies = { data: {}, permissions: { read: ["system.Everyone"] } };
  const values = { bucket_id: "b", collection_id: "c", id: "x" };
  const put = (path) => fetch(`${server.url}${path}`, { method: "PUT", headers: mat, body: JSON.stringify(bodies) });
  const seen = new Set();
  for (const [path, operations] of Object.entries(document.paths)) {
    const known = path.startsWith("/buckets") || ["/", "/permissions", "/__heartbeat__", "/__lbheartbeat__",
      "/contribute.json", "/__counters__", "/__api__"].includes(path);
    if (!known || path.includes("snapshot") || path.includes("default")) continue;
    for (const method of ["get", "put", "patch", "post", "delete"]) {
      const operation = operations[method];
      if (!operation) continue;
      for (const needed of ["/buckets/b", "/buckets/b/collections/c", "/buckets/x", "/buckets/b/collections/x",
        "/buckets/b/groups/x", "/buckets/b/collections/c/records/x"]) await put(needed);
      const url = server.url + path.replace(/\{(\w+)\}/g, (_, name) => values[name]);
      const nobody = { "Content-Type": "application/json" };
      for (const headers of [mat, nobody, { ...mat, Accept: "text/html" }, { ...mat, "If-Match": '"1"' },
        { ...mat, "If-Match": "bad" }]) {
        const body = ["put", "patch", "post"].includes(method) ? JSON.stringify(bodies) : undefined;
        const answer = await fetch(url, { method: method.toUpperCase(), headers, body });
        const response = operation.responses[answer.status];
        assert.ok(response, `${method} ${path}: ${answer.status} is not among ${Object.keys(operation.responses)}`);
        seen.add(`${method} ${answer.status}`);
        const text = await answer.text();
        if (response.schema) fits(response.schema, JSON.parse(text), `${method} ${path} ${answer.status}`);
        for (const name of Object.keys(response.headers ?? {})) assert.ok(answer.headers.has(name), `${path} ${name}`);
      }
    }
  }
  for (const one of ["get 200", "put 200", "post 201", "delete 200", "put 401", "get 406", "get 412", "put 400"]) {
    assert.ok(seen.has(one), `${one} was never answered`);
  }
});
