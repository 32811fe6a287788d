// The Unicode character database as records: real data, 34,000 of them, from Debian's unicode-data.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

const kFile = "/usr/share/unicode/UnicodeData.txt";

// A stable UUID for a code point, so that a test can ask for a record by what it is.
export function idOf(code) {
  const hex = createHash("sha256").update(`U+${code}`).digest("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

export function characters(count) {
  const out = [];
  for (const line of readFileSync(kFile, "utf8").split("\n")) {
    if (!line) continue;
    const [code, name, category, combining, bidi] = line.split(";");
    const point = parseInt(code, 16);
    const surrogate = point >= 0xd800 && point <= 0xdfff;
    // No text of PostgreSQL holds it.
    const refused = point === 0 && process.env.GODWIT_E2E_DATABASES;
    out.push({
      id: idOf(code),
      code,
      name,
      category,
      combining: Number(combining),
      bidi,
      text: surrogate || refused ? null : String.fromCodePoint(point),
    });
    if (out.length === count) break;
  }
  if (out.length !== count) throw new Error(`${kFile} holds only ${out.length} characters`);
  return out;
}
