// @ts-check
/** What this browser remembers of the page: theme, alerts, shortcuts. */

/** @param {string} name @returns {string | null} */
export function recall(name) {
  try {
    return localStorage.getItem(`vyomo-rt.${name}`);
  } catch {
    return null; // storage is switched off: nothing is remembered
  }
}

/** Whether a key of the storage is that of a name; null: it was emptied.
 * @param {string | null} key @param {string} name */
export const isOf = (key, name) => key === null || key === `vyomo-rt.${name}`;

/** @param {string} name @param {string | null} value null forgets it */
export function remember(name, value) {
  try {
    if (value === null) localStorage.removeItem(`vyomo-rt.${name}`);
    else localStorage.setItem(`vyomo-rt.${name}`, value);
  } catch {
    /* as above */
  }
}
