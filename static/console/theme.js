// @ts-check
// Not a module: it runs before the first paint, so that a chosen theme never flashes the other one.
(() => {
  let theme = null;
  try {
    theme = localStorage.getItem("vyomo-rt.theme");
  } catch {
    /* storage is switched off: the system's theme */
  }
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
})();
