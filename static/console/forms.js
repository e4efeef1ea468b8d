// @ts-check
/** Forms that send an order: errors stand beside the field they name, and nothing happens twice. */
import { call, newKey, reason } from "./api.js";
import { el } from "./dom.js";

const NUMBERS = new Set(["quantity", "entryPrice", "stopLoss", "target", "price", "startingCapital"]);

/** 1,50,000.50 or 150,000.50, but not 22,50: that may be meant as 22.50. */
const GROUPED = /^\d{1,3}(,\d{2,3})*,\d{3}(\.\d+)?$/;
/** Without 1e999, which JSON turns into null, 0x10 and the like. */
const PLAIN = /^[+-]?\d+(\.\d+)?$/;

/** Digits as `String` writes a number. @param {string} digits */
const shortest = (digits) => digits.replace(/^\+/, "").replace(/^(-?)0+(?=\d)/, "$1")
  .replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");

/** The number that was typed, or the text as it was if it is none or has more digits than a number
 * holds: the server then says what is wrong. @param {string} text @returns {number | string} */
export function numberOf(text) {
  const digits = GROUPED.test(text) ? text.replaceAll(",", "") : text;
  return PLAIN.test(digits) && String(Number(digits)) === shortest(digits) ? Number(digits) : text;
}

/** The fields as JSON; an empty one is absent.
 * @param {HTMLFormElement} form @returns {Record<string, any>} */
export function fieldsOf(form) {
  /** @type {Record<string, any>} */
  const fields = {};
  for (const [name, value] of new FormData(form)) {
    const text = String(value).trim();
    if (text !== "") fields[name] = NUMBERS.has(name) ? numberOf(text) : text;
  }
  return fields;
}

/** @param {HTMLFormElement} form */
export function clearProblems(form) {
  for (const input of form.querySelectorAll("[aria-invalid]")) {
    input.removeAttribute("aria-invalid");
    input.removeAttribute("aria-describedby");
  }
  for (const error of form.querySelectorAll(".field .error")) error.remove();
  const general = form.querySelector("[data-error-form]");
  if (general) general.textContent = "";
}

/** A problem's text begins with the name of its field, if it has one.
 * @param {HTMLFormElement} form @param {string} text */
function showProblem(form, text) {
  const name = /^\w+/.exec(text)?.[0] ?? "";
  const input = form.querySelector(`.field input[name="${name}"]`);
  if (!(input instanceof HTMLInputElement)) {
    const general = form.querySelector("[data-error-form]");
    if (general) general.textContent = text;
    return;
  }
  const id = `${form.id}-${name}-error`;
  input.setAttribute("aria-invalid", "true");
  input.setAttribute("aria-describedby", id); // read out as the field is focused
  input.after(el("p", { class: "error", id }, text));
  input.focus();
}

/**
 * Sends a form by POST; pressed again after a lost answer it repeats the request, not the deed.
 * @param {HTMLFormElement} form
 * @param {(fields: Record<string, any>) => { path: string, body: object } | string} request a text
 *   says why there is none
 * @param {(document: any) => void} done
 */
export function onOrder(form, request, done) {
  let key = "", keyOf = ""; // the order that it stands for
  let sending = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (sending) return;
    clearProblems(form);
    const order = request(fieldsOf(form));
    if (typeof order === "string") return showProblem(form, order);
    const text = JSON.stringify(order);
    if (text !== keyOf) [key, keyOf] = [newKey(), text];
    sending = true;
    const answer = await call("POST", order.path, order.body, key);
    sending = false;
    if (!answer.passing) keyOf = "";
    if (answer.ok) done(answer.document);
    else showProblem(form, reason(answer));
  });
}

/** Buttons that only close a dialog. */
export function wireDialogs() {
  for (const button of document.querySelectorAll("dialog [data-cancel]")) {
    button.addEventListener("click", () => button.closest("dialog")?.close());
  }
}
