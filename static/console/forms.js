// @ts-check
/** Forms that send an order: errors appear beside their field, and nothing happens twice. */
import { reason } from "./api.js";
import { $, el } from "./dom.js";
import { complain, isCovered } from "./notify.js";
import { numberOf } from "./numbers.js";
import { settle } from "./sending.js";

/** @typedef {Record<string, any>} Fields */
/** @typedef {{ method?: string, path: string, body: object }} Order by POST, if it says nothing
 *   else; what else it holds is for `done` */

const GIVEN_UP =
  "The page has stopped asking whether it was done: look for it before you send it again.";

/** The fields as JSON; an empty one is absent. @param {HTMLFormElement} form @returns {Fields} */
export function fieldsOf(form) {
  /** @type {Fields} */
  const fields = {};
  for (const [name, value] of new FormData(form)) {
    const text = String(value).trim();
    if (text !== "") fields[name] = isNumber(form, name) ? numberOf(text) : text;
  }
  return fields;
}

/** @param {HTMLFormElement} form @param {string} name @returns {HTMLInputElement | null} */
const inputOf = (form, name) => form.querySelector(`.field input[name="${name}"]`);

/** @param {HTMLFormElement} form @param {string} name */
const isWhole = (form, name) => inputOf(form, name)?.inputMode === "numeric";
/** @param {HTMLFormElement} form @param {string} name */
const isNumber = (form, name) =>
  isWhole(form, name) || inputOf(form, name)?.inputMode === "decimal";

/** What people call a field. @param {HTMLFormElement} form @param {string} name */
function labelOf(form, name) {
  const label = inputOf(form, name)?.labels?.[0];
  return label?.dataset.short ?? label?.textContent ?? name;
}

/** What stands for a member of the call: a field, or a button that leads to one.
 * @param {HTMLFormElement} form @param {string} name */
const wordOf = (form, name) =>
  inputOf(form, name)
    ? labelOf(form, name)
    : form.querySelector(`[data-leads-to="${name}"]`)?.textContent;

/** The same of a rule, which has its field in another form. @param {string} name */
const ruleOf = (name) => labelOf($("change-rules"), name);

/** A text that begins with a field's name, in the words of the labels.
 * @param {HTMLFormElement} form @param {string} text */
const inWords = (form, text) =>
  text
    .replace(/^\w+/, (name) => (inputOf(form, name) ? labelOf(form, name) : ruleOf(name)))
    .replace(/\b[a-z]+[A-Z]\w+/g, (name) => {
      const word = wordOf(form, name);
      return word ? `“${word}”` : name;
    });

/** What is wrong with the typed numbers, without asking the server; each text begins with a field.
 * @param {HTMLFormElement} form @param {Fields} fields @returns {string[]} */
export function unreadable(form, fields) {
  const numbers = Object.entries(fields).filter(([name]) => isNumber(form, name));
  const strange = numbers.filter(([, value]) => typeof value === "string");
  const broken = numbers.filter(
    ([name, value]) => isWhole(form, name) && typeof value === "number" && value % 1 !== 0,
  );
  const tooLow = numbers.filter(([name, value]) => value < (isWhole(form, name) ? 1 : 0));
  return [
    ...tooLow.map(([name]) =>
      isWhole(form, name) ? `${name} must be at least 1` : `${name} must not be below 0`,
    ),
    ...strange.map(
      ([name, value]) =>
        `${name}: expected a number such as ` +
        `${isWhole(form, name) ? "50 or 1,500" : "22150.50"}, not “${value}”`,
    ),
    ...broken.map(([name, value]) => `${name}: expected a whole number, not ${value}`),
  ];
}

/** @param {HTMLFormElement} form @param {string} selector @param {string} text */
function put(form, selector, text) {
  const element = form.querySelector(selector);
  if (element && element.textContent !== text) element.textContent = text;
}

/** @param {HTMLInputElement} input */
function clear(input) {
  input.removeAttribute("aria-invalid");
  input.removeAttribute("aria-describedby");
  input.parentElement?.querySelector(".error")?.remove();
}

/** @param {HTMLFormElement} form */
export function clearProblems(form) {
  for (const input of form.querySelectorAll("input[aria-invalid]"))
    clear(/** @type {any} */ (input));
  put(form, "[data-error-form]", "");
}

/** @param {HTMLFormElement} form @param {HTMLInputElement} input @param {string} text
 * @param {string} kind */
function mark(form, input, text, kind) {
  const id = `${form.id}-${input.name}-error`;
  clear(input);
  input.setAttribute("aria-invalid", "true");
  input.setAttribute("aria-describedby", id); // read out as the field is focused
  input.after(el("p", { class: "error", id, "data-kind": kind }, text));
}

/** @param {HTMLFormElement} form
 * @param {string} text which begins with the name of its field, if any */
function showProblem(form, text) {
  const input = inputOf(form, /^\w+/.exec(text)?.[0] ?? "");
  if (!input) return put(form, "[data-error-form]", inWords(form, text));
  mark(form, input, inWords(form, text), "refused");
  input.focus();
}

/** Marks fields while they are typed, and leaves what was refused.
 * @param {HTMLFormElement} form @param {string[]} texts each begins with the name of its field */
export function hint(form, texts) {
  const wanted = new Map(texts.map((text) => [/^\w+/.exec(text)?.[0] ?? "", inWords(form, text)]));
  for (const input of /** @type {NodeListOf<HTMLInputElement>} */ (
    form.querySelectorAll(".field input")
  )) {
    const shown = /** @type {HTMLElement | null} */ (
      input.parentElement?.querySelector(".error") ?? null
    );
    const text = wanted.get(input.name);
    if (shown?.dataset.kind === "refused" || shown?.textContent === text) continue;
    if (text) mark(form, input, text, "hint");
    else if (shown) clear(input);
  }
}

/** From now on its fields are marked as they are typed; what was refused is typed anew.
 * @param {HTMLFormElement} form */
export function checkWhileTyping(form) {
  form.addEventListener("input", () => {
    clearProblems(form);
    hint(form, unreadable(form, fieldsOf(form)));
  });
}

/** The state of an order, beside its button.
 * @param {HTMLFormElement} form @param {string} text
 * @param {boolean} [isOpen] nobody knows what became of it */
function say(form, text, isOpen = false) {
  put(form, "[data-sending]", text);
  const stop = /** @type {HTMLElement | null} */ (form.querySelector("[data-give-up]"));
  if (!stop) return;
  // The focus would be lost with it.
  if (!isOpen && document.activeElement === stop)
    /** @type {any} */ (form.querySelector(".primary"))?.focus();
  stop.hidden = !isOpen;
}

/** @param {HTMLFormElement} form @param {boolean} busy */
function setBusy(form, busy) {
  form.setAttribute("aria-busy", String(busy));
  // Not disabled: it would lose the focus.
  form.querySelector(".primary")?.setAttribute("aria-disabled", String(busy));
}

/** What is sent from a form, until its dialog is closed: the next one there is another.
 * @type {WeakMap<HTMLFormElement, AbortController>} */
const shown = new WeakMap();

/** @param {HTMLFormElement} form */
function letGo(form) {
  shown.delete(form);
  setBusy(form, false);
  say(form, "");
}

/**
 * Sends a form, one order per press, and says what becomes of it. Its dialog is closed when it is
 * done; closed before, the order goes on, and messages say what became of it.
 * @template {Order} T
 * @param {HTMLFormElement} form
 * @param {(fields: Fields) => Promise<T | string | null>} request a text says why there is none;
 *   null: thought better of it
 * @param {(document: any, fields: Fields, order: T, isShown: boolean) => string} done says what was
 *   done, if the form is to; `isShown`: the form is still that of the order
 */
export function onOrder(form, request, done) {
  checkWhileTyping(form);
  form.addEventListener("input", () => {
    if (!shown.has(form)) say(form, "");
  });
  form.querySelector("[data-give-up]")?.addEventListener("click", () => shown.get(form)?.abort());
  const dialog = form.closest("dialog");
  dialog?.addEventListener("close", () => {
    if (!dialog.open) letGo(form); // the event comes late: it may have been opened again
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (shown.has(form)) return;
    clearProblems(form);
    say(form, "");
    setBusy(form, true);
    const sending = new AbortController();
    shown.set(form, sending);
    try {
      await send(form, fieldsOf(form), request, done, sending);
    } finally {
      if (shown.get(form) === sending) {
        shown.delete(form);
        setBusy(form, false);
      }
    }
  });
}

/** @param {HTMLFormElement} form */
const titleOf = (form) => form.closest("dialog, section")?.querySelector("h2")?.textContent ?? "";

/** @template {Order} T
 * @param {HTMLFormElement} form @param {Fields} fields
 * @param {(fields: Fields) => Promise<T | string | null>} request
 * @param {(document: any, fields: Fields, order: T, isShown: boolean) => string} done
 * @param {AbortController} sending */
async function send(form, fields, request, done, sending) {
  const isShown = () => shown.get(form) === sending;
  const isSeen = () => isShown() && (!isCovered() || form.id === "sign-in");
  const order = unreadable(form, fields).at(0) ?? (await request(fields));
  if (order === null || !isShown()) return; // left before anything was sent
  if (typeof order === "string") return showProblem(form, order);
  const tell = (/** @type {string} */ how, /** @type {boolean} */ isOpen) => {
    if (isSeen()) say(form, how, isOpen);
    else if (isOpen) complain(`${titleOf(form)}: ${how}`);
  };
  const { method = "POST", path, body } = order;
  const answer = await settle(method, path, body, tell, sending.signal);
  if (answer.ok) {
    const text = done(answer.document, fields, order, isShown());
    if (isShown()) say(form, text);
    return isShown() && form.closest("dialog")?.close();
  }
  const text = sending.signal.aborted ? GIVEN_UP : reason(answer);
  if (!isSeen()) complain(`${titleOf(form)}: ${inWords(form, text)}`);
  if (!isShown()) return;
  say(form, "");
  showProblem(form, text);
}
