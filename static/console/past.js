// @ts-check
/** Figures that are not live look so: those of a lost line, and of a session that is being left. */
import { ROWS_A_FRAME } from "./dom.js";
import { part, touch } from "./frame.js";
import { model } from "./model.js";
import { isChanging } from "./stream.js";

/** What has figures: of long lists each row, so that not all of them change their looks at once. */
const LIVE = ".live, .session .chip, #positions > tbody > tr, #tiles > li";

/** All was live when it was last looked at: new rows are live by themselves. */
let isLive = false;

function paint() {
  const isPast =
    document.body.dataset.link !== "live" || (isChanging() && model.sessionId !== null);
  if (!isPast && isLive) return;
  const wrong = [...document.querySelectorAll(LIVE)].filter(
    (one) => one.hasAttribute("data-past") !== isPast,
  );
  for (const one of wrong.slice(0, ROWS_A_FRAME)) one.toggleAttribute("data-past", isPast);
  isLive = !isPast && wrong.length <= ROWS_A_FRAME;
  if (wrong.length > ROWS_A_FRAME) touch("past");
}

export const start = () => part("past", paint);
