// @ts-check
/** What is on screen, as the page's address, to be bookmarked and shared:
 * `/?session=6&symbols=NIFTY,TCS&interval=500&transport=sse`. */

/** @typedef {{ session?: number, symbols?: string[], interval?: number,
 *   transport?: "auto" | "ws" | "sse" }} Place */

/** @param {string} search @returns {{ place: Place, problems: string[] }} */
export function readPlace(search) {
  const query = new URLSearchParams(search);
  /** @type {Place} */
  const place = {};
  const problems = [];
  for (const name of /** @type {const} */ (["session", "interval"])) {
    const text = query.get(name);
    if (!text) continue;
    if (/^[1-9]\d{0,14}$/.test(text)) place[name] = Number(text);
    else
      problems.push(
        `${name} in the address: expected a positive integer, got “${text.slice(0, 40)}”`,
      );
  }
  const symbols = query.get("symbols");
  if (symbols !== null)
    place.symbols = symbols
      .split(",")
      .map((one) => one.trim())
      .filter(Boolean);
  const transport = query.get("transport");
  if (transport === "auto" || transport === "ws" || transport === "sse")
    place.transport = transport;
  else if (transport) {
    problems.push(
      `transport in the address: expected auto, ws or sse, got “${transport.slice(0, 40)}”`,
    );
  }
  return { place, problems };
}

/** @param {Place} place @returns {string} */
function placeQuery({ session, symbols = [], interval, transport }) {
  const fields = [];
  if (session) fields.push(`session=${session}`);
  fields.push(`symbols=${symbols.map(encodeURIComponent).join(",")}`);
  if (interval) fields.push(`interval=${interval}`);
  if (transport && transport !== "auto") fields.push(`transport=${transport}`);
  return `?${fields.join("&")}`;
}

/** @param {Place} place */
export function writePlace(place) {
  const query = placeQuery(place);
  if (query !== location.search) history.replaceState(null, "", query);
}
