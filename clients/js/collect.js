// Puts the module, its types and the licence beside package.json: npm packs no links.
import { copyFileSync } from "node:fs";

for (const path of ["static/vyomo-rt.js", "static/vyomo-rt.d.ts", "LICENSE"]) {
  copyFileSync(
    new URL(`../../${path}`, import.meta.url),
    new URL(path.replace(/.*\//, ""), import.meta.url),
  );
}
