// @ts-check
/** A worker's clock: posts a message every so many ms, however long the page is hidden. */
addEventListener("message", ({ data }) => {
  setInterval(() => postMessage(null), data);
});
