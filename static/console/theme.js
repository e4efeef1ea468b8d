// @ts-check
// Not a module: it runs before the first paint, so that what was chosen never flashes the default.
(() => {
  const root = document.documentElement;
  /** @param {string} name */
  const recall = (name) => {
    try {
      return localStorage.getItem(`vyomo-rt.${name}`);
    } catch {
      return null; // storage is switched off: the system's theme, and sizes as at first
    }
  };
  const theme = recall("theme");
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  const text = Number(recall("text-size"));
  if (text >= 12 && text <= 24) root.style.fontSize = `${text}px`;
  const row = Number(recall("row-height"));
  if (row >= 24 && row <= 64) root.style.setProperty("--row", `${row}px`);
})();
