// The page at /__status__: one document, nothing loaded from elsewhere, no inline handlers, so that
// the policy can forbid everything but this script and this style.
#include <openssl/sha.h>

#include <span>

#include "base/encoding.h"
#include "kinto/admin.h"

namespace godwit::kinto {
namespace {

constexpr std::string_view kStyle = R"css(
:root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--ink:#17202a;--dim:#667382;--line:#dfe4ea;
--accent:#0b6e8f;--fill:#0b6e8f22;--good:#1b7f4d;--warn:#a66a00;--bad:#c0342b}
@media (prefers-color-scheme:dark){:root{--bg:#10161c;--card:#18212a;--ink:#e8edf2;--dim:#93a1b0;
--line:#2a3642;--accent:#4fc1e0;--fill:#4fc1e022;--good:#4cc38a;--warn:#e0a840;--bad:#ff7a6e}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.45 system-ui,sans-serif;
font-variant-numeric:tabular-nums}
main{max-width:1080px;margin:0 auto;padding:24px 20px 40px}
header{display:flex;flex-wrap:wrap;align-items:baseline;gap:4px 14px;margin-bottom:18px}
h1{font-size:22px;margin:0}
h2{font-size:13px;font-weight:600;color:var(--dim);margin:0 0 8px;text-transform:uppercase;
letter-spacing:.05em}
.dim{color:var(--dim)}
.state{margin-left:auto;display:flex;align-items:center;gap:8px;font-weight:600}
.dot{width:10px;height:10px;border-radius:50%;background:var(--dim)}
.good .dot{background:var(--good)}.warn .dot{background:var(--warn)}.bad .dot{background:var(--bad)}
.tiles{display:grid;grid-template-columns:2fr 1fr 1fr 1fr 1fr;gap:12px;margin-bottom:12px}
.two{display:grid;grid-template-columns:1fr 1fr;gap:12px}
section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:14px 16px;
min-width:0;margin-bottom:12px}
.tiles section,.two section{margin:0}
.two{margin-bottom:12px}
.big{font-size:28px;font-weight:650;line-height:1.15;white-space:nowrap}
.big small{font-size:14px;font-weight:500;color:var(--dim)}
svg{display:block;width:100%;height:52px;margin-top:6px}
svg path.line{fill:none;stroke:var(--accent);stroke-width:1.6;vector-effect:non-scaling-stroke}
svg path.area{fill:var(--fill)}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%}
th{font-weight:500;color:var(--dim);text-align:left;font-size:13px}
th,td{padding:5px 14px 5px 0;border-top:1px solid var(--line);white-space:nowrap}
tr:first-child th{border-top:0;padding-top:0}
th.n,td.n{text-align:right}
td.good{color:var(--good)}td.warn{color:var(--warn)}td.bad{color:var(--bad)}
.bad .big,.big.bad{color:var(--bad)}
p{margin:8px 0 0}
a{color:var(--accent)}
th:last-child,td:last-child{padding-right:0}
@media (max-width:820px){.tiles{grid-template-columns:1fr 1fr}.tiles section:first-child{grid-column:1/-1}
.two{grid-template-columns:1fr}}
)css";

constexpr std::string_view kBody = R"html(<main>
<header><h1>Godwit</h1><span class="dim" id="about"></span>
<span class="state" id="state" role="status"><span class="dot"></span><span id="word">asking</span></span></header>
<div class="tiles">
<section><h2>Requests</h2><div class="big" id="rate">–</div>
<svg viewBox="0 0 59 30" preserveAspectRatio="none" role="img" aria-label="Requests in each of the last 60 seconds"><path class="area"/><path class="line"/></svg></section>
<section><h2>p50</h2><div class="big" id="p50">–</div></section>
<section><h2>p99</h2><div class="big" id="p99">–</div></section>
<section><h2>Failed</h2><div class="big" id="failed">–</div><p class="dim" id="refused"></p></section>
<section><h2>Waiting</h2><div class="big" id="waiting">–</div><p class="dim" id="open"></p></section>
</div>
<section><h2>Generations</h2><div class="scroll"><table id="generations"></table></div><p class="dim" id="failure"></p></section>
<div class="two">
<section><h2>Storage</h2><div class="scroll"><table id="storage"></table></div><p class="dim" id="place"></p></section>
<section><h2>Metrics</h2><div class="scroll"><table id="publishers"></table></div><p class="dim" id="spool"></p></section>
</div>
<p class="dim">Rates and latencies are those of the last 10 seconds of the active generation. <a href="/__status__.json">JSON</a></p>
<noscript><p>This page needs JavaScript; /__status__.json has the same numbers.</p></noscript>
</main>)html";

constexpr std::string_view kScript = R"js(
"use strict";
const at = id => document.getElementById(id);
const text = (id, value) => { at(id).textContent = value; };
const count = n => n >= 1e6 ? (n / 1e6).toFixed(1) + " M" : n >= 1e4 ? (n / 1e3).toFixed(1) + " k"
  : Number.isInteger(n) ? String(n) : n.toFixed(n < 10 ? 1 : 0);
const size = n => n >= 1 << 30 ? (n / (1 << 30)).toFixed(1) + " GiB" : (n / (1 << 20)).toFixed(1) + " MiB";
const span = s => s < 120 ? Math.round(s) + " s" : s < 7200 ? Math.round(s / 60) + " min"
  : s < 172800 ? Math.round(s / 3600) + " h" : Math.round(s / 86400) + " d";
const latency = ms => ms === 0 ? ["–", ""] : ms < 1 ? [Math.round(ms * 1000), "µs"]
  : ms < 1000 ? [ms.toFixed(ms < 10 ? 1 : 0), "ms"] : [(ms / 1000).toFixed(1), "s"];
const big = (id, value, unit) => {
  const small = document.createElement("small");
  small.textContent = unit ? " " + unit : "";
  at(id).replaceChildren(String(value), small);
};
const table = (id, head, rows) => {
  const line = (kind, cells) => {
    const tr = document.createElement("tr");
    for (const cell of cells) {
      const [value, look] = Array.isArray(cell) ? cell : [cell, ""];
      const td = document.createElement(kind);
      td.textContent = value;
      td.className = look;
      tr.append(td);
    }
    return tr;
  };
  at(id).replaceChildren(line("th", head), ...rows.map(r => line("td", r)));
};
const N = v => [v, "n"];
const look = { active: "good", soaking: "warn", starting: "warn", draining: "warn", quiescing: "warn",
  failing: "bad", killing: "bad" };

function show(all) {
  const s = all.server, r = s.requests, run = all.supervisor, agent = all.agent;
  text("about", s.version + " · pid " + s.pid + " · up " + span(s.uptime_s));
  big("rate", count(r.per_second), "per second");
  big("p50", ...latency(r.p50_ms));
  big("p99", ...latency(r.p99_ms));
  big("failed", (r.failures * 100).toFixed(r.failures && r.failures < 0.1 ? 2 : 0), "%");
  at("failed").classList.toggle("bad", r.failures > 0);
  text("refused", (r.client_errors * 100).toFixed(0) + " % refused (4xx)");
  big("waiting", r.waiting, "");
  text("open", s.connections.open + " connections");
  const top = Math.max(1, ...r.history);
  const points = r.history.map((n, i) => i + " " + (29 - 27 * n / top).toFixed(2));
  document.querySelector("svg .line").setAttribute("d", "M" + points.join("L"));
  document.querySelector("svg .area").setAttribute("d", "M0 30L" + points.join("L") + "L59 30Z");

  let state = s.draining ? ["draining", "warn"] : ["serving", "good"];
  const rows = [];
  let failure = "";
  if (run && run.services) {
    for (const service of run.services) {
      if (service.state !== "running") state = [service.service + " " + service.state, "warn"];
      for (const g of service.generations) {
        rows.push([service.service, N(g.gen), [g.state, look[g.state] || ""], N(g.pid),
          N(span(g.age_s)), N(g.ready_ms === undefined ? "–" : g.ready_ms + " ms"), N(size(g.rss || 0))]);
      }
      if (service.last_failure) failure += service.service + ": generation " + service.last_failure.gen +
        " failed: " + service.last_failure.detail + ". ";
      failure += service.service + ": " + service.reloads.ok + " started, " + service.reloads.failed + " failed. ";
    }
  } else {
    rows.push(["server", N(s.generation || "–"), ["active", "good"], N(s.pid), N(span(s.uptime_s)), N("–"), N("–")]);
    failure = run && run.error ? "Supervisor: " + run.error : "No supervisor is named in the settings.";
  }
  table("generations", ["Service", N("Generation"), "State", N("pid"), N("Age"), N("Ready after"), N("Memory")], rows);
  text("failure", failure);

  const store = (name, v) => [name, N(count(v.per_second)), N(latency(v.p50_ms).join(" ")),
    N(latency(v.p99_ms).join(" ")), N(v.waiting), [v.total_failures, v.failures ? "n bad" : "n"]];
  table("storage", ["", N("Per second"), N("p50"), N("p99"), N("Waiting"), N("Failed")],
    [store("reads", s.storage.reads), store("writes", s.storage.writes)]);
  text("place", s.storage.backend + " · " + s.storage.place);

  if (agent && agent.publishers) {
    table("publishers", ["Publisher", "State", N("Lag"), N("Published"), N("Dead")], agent.publishers.map(p =>
      [p.name, [p.up ? "up" : "down", p.up ? "good" : "bad"], N(count(p.spooled)), N(count(p.published)),
       [count(p.dead), p.dead ? "n bad" : "n"]]));
    text("spool", "spool " + size(agent.spool_bytes) + " · agent " + agent.state);
    if (agent.publishers.some(p => !p.up) && state[1] === "good") state = ["serving, a publisher is down", "warn"];
  } else {
    table("publishers", ["No agent"], []);
    text("spool", agent && agent.error ? agent.error : "No agent is named in the settings.");
    if (agent && agent.error && state[1] === "good") state = ["serving, no agent", "warn"];
  }
  text("word", state[0]);
  at("state").className = "state " + state[1];
  document.documentElement.dataset.shown = "yes";
}

async function tick() {
  try {
    const answer = await fetch("/__status__.json", { cache: "no-store" });
    if (!answer.ok) throw new Error("HTTP " + answer.status);
    show(await answer.json());
  } catch (e) {
    text("word", "no answer: " + e.message);
    at("state").className = "state bad";
  }
  setTimeout(tick, document.hidden ? 10000 : 1000);
}
tick();
)js";

std::string sha256(std::string_view text) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  std::string_view bytes(reinterpret_cast<const char*>(digest), sizeof digest);
  return "'sha256-" + base64Encode(bytes) + "'";
}

}  // namespace

std::string statusPage() {
  std::string out =
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
      "<title>Godwit status</title><link rel=\"icon\" href=\"data:,\"><style>";
  out.append(kStyle).append("</style></head><body>\n").append(kBody);
  out.append("\n<script>").append(kScript).append("</script></body></html>\n");
  return out;
}

std::string statusPagePolicy() {
  return "default-src 'none'; style-src " + sha256(kStyle) + "; script-src " + sha256(kScript) +
         "; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
         "frame-ancestors 'none'";
}

}  // namespace godwit::kinto
