// @ts-check
/** The few things that every part does to the page. Text only ever gets in as text. */

/** @param {string} id @returns {any} the element, which the template has */
export const $ = (id) => document.getElementById(id);

/**
 * @param {string} tag
 * @param {Record<string, string>} [attributes]
 * @param {...(Node | string)} children
 * @returns {any}
 */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** A symbol, which a narrow line breaks before an option's strike and never within it.
 * @param {string} symbol @returns {(Node | string)[]} */
export function nameOf(symbol) {
  const option = /^(\D+)(\d\d[A-Z]{3})?(\d[\d.]*[CP]E)$/.exec(symbol);
  const parts = option ? option.slice(1).filter(Boolean) : [symbol];
  return parts.flatMap((part, index) => (index ? [el("wbr"), part] : [part]));
}

/** Changes only what differs: most of what is painted again is as before.
 * @param {any} element @param {string} text @param {string} [className] */
export function put(element, text, className) {
  const { firstChild: inside, lastChild } = element;
  // A text node that stays needs less layout than a new one.
  if (text && inside instanceof Text && inside === lastChild) {
    if (inside.data !== text) inside.data = text;
  } else if (element.textContent !== text) element.textContent = text;
  if (className !== undefined && element.className !== className) element.className = className;
}

/** @param {any} element @param {string} name @param {string | null} value null removes it */
export function attribute(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** Items of `keyed`. Of a trade or an order, the key is its number and what its row never changes,
 * for a wiped store gives its numbers again.
 * @template T @param {Iterable<T>} owners @returns {[string, T][]} */
export const rowsOf = (owners) =>
  Array.from(owners, (/** @type {any} */ owner) => {
    const { tradeId, orderId, symbol, side, entryPrice, closedAt } = owner;
    return [[tradeId ?? orderId, symbol, side, entryPrice, closedAt].join(" "), owner];
  });

/** Of rows of a table: so many are made in one frame, so that a hundred at once hold up nothing. */
export const ROWS_A_FRAME = 8;
/** @type {WeakMap<Element, Map<any, any>>} */
const children = new WeakMap();
/** Of each child out of sight: what brings it up to date. @type {WeakMap<Element, () => void>} */
const overdue = new WeakMap();
/** @type {WeakSet<Element>} */
const outOfSight = new WeakSet();

const sight = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting) catchUp(target);
    else outOfSight.add(target);
  }
});

/** @param {Element} child */
function catchUp(child) {
  outOfSight.delete(child);
  overdue.get(child)?.();
  overdue.delete(child);
}

/**
 * One child an item, in the items' order; it is kept while the item lives, so that focus stays. A
 * child out of sight, by scrolling or in a hidden list, is updated when it comes into sight; what
 * has the focus always is: a screen reader reads it.
 * @template K, T
 * @param {Element} parent
 * @param {Iterable<[K, T]>} items
 * @param {(item: T, key: K) => any} make
 * @param {((child: any, item: T, key: K) => void) | null} [update] without it, a child stays as it
 *   was made
 * @param {number} [most] that are made at once
 * @returns {boolean} whether all are there; if not, the caller comes back in the next frame
 */
export function keyed(parent, items, make, update = null, most = Infinity) {
  const before = children.get(parent) ?? new Map();
  const entries = [...items];
  const stays = new Set(entries.map(([key]) => key));
  // First: otherwise all that follows one that goes would be moved.
  for (const [key, child] of before) {
    if (stays.has(key)) continue;
    sight.unobserve(child);
    child.remove();
  }
  const now = new Map();
  const focused = document.activeElement;
  // Options have no place of their own; and each observed child costs each frame a little.
  const isSeen = update !== null && !(parent instanceof HTMLSelectElement);
  let next = parent.firstElementChild;
  let made = 0;
  for (const [key, item] of entries) {
    let child = before.get(key);
    if (!child && made === most) continue;
    if (!child) {
      made += 1;
      child = make(item, key);
      if (isSeen) sight.observe(child);
    }
    now.set(key, child);
    if (update && outOfSight.has(child) && !child.contains(focused))
      overdue.set(child, () => update(child, item, key));
    else update?.(child, item, key);
    if (child === next) next = child.nextElementSibling;
    else parent.insertBefore(child, next);
  }
  children.set(parent, now);
  return now.size === stays.size;
}

/** @param {string} text @returns {Promise<boolean>} whether it is in the clipboard */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // not allowed, or plain http away from localhost
    const area = el("textarea", { "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}
