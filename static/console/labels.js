// @ts-check
/** Words in a chart, none of which covers another. */

export const LINE_PX = 15;
const BETWEEN_PX = 4;

/** @typedef {{ left: number, width: number, tops: number[] }} Words  `tops`: where they may stand,
 *   the best first */

/** @param {Words[]} all the most important first
 * @returns {(number | undefined)[]} the top of each; undefined where there is no room */
export function placed(all) {
  /** @type {{ left: number, right: number, top: number }[]} */
  const taken = [];
  return all.map(({ left, width, tops }) => {
    const right = left + width + BETWEEN_PX;
    const top = tops.find((at) =>
      taken.every(
        (one) => one.right <= left || right <= one.left || Math.abs(one.top - at) >= LINE_PX,
      ),
    );
    if (top !== undefined) taken.push({ left, right, top });
    return top;
  });
}
