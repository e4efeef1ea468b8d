// Puts the module, its types and the licence beside package.json: npm packs no links.
import { cpSync } from "node:fs";

for (const path of ["static/vyomo-rt.js", "static/vyomo-rt.d.ts", "static/vyomo-rt", "LICENSE"]) {
  const from = new URL(`../../${path}`, import.meta.url);
  cpSync(from, new URL(path.replace(/.*\//, ""), import.meta.url), { recursive: true });
}
