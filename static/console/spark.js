// @ts-check
/** The line of what a price was lately. An SVG: each canvas would be a layer for the compositor. */
import { attribute } from "./dom.js";
import { range } from "./series.js";

/** @typedef {import("./series.js").Point} Point */

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 100,
  HEIGHT = 30,
  EDGE = 4;

/** @returns {any} stretched to its box by CSS; its strokes are not */
export function makeSpark() {
  const [spark, line, end] = ["svg", "path", "path"].map((name) =>
    document.createElementNS(SVG, name),
  );
  spark.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  spark.setAttribute("preserveAspectRatio", "none");
  spark.setAttribute("aria-hidden", "true");
  end.setAttribute("class", "end");
  spark.append(line, end);
  return spark;
}

/** @param {Element} spark @param {Point[]} points
 * @param {number} spanMs the time that fills the width */
export function drawSpark(spark, points, spanMs) {
  const [line, end] = spark.children;
  if (!points.length) return;
  const [low, high] = range(points.map(({ v }) => v));
  const newest = points[points.length - 1].t;
  // A young line starts at the left too; it is squeezed once it spans the whole width.
  const start = Math.max(points[0].t, newest - spanMs);
  const across = Math.max(newest - start, spanMs / 4);
  const place = (/** @type {Point} */ { t, v }) => {
    const x = EDGE / 2 + ((t - start) / across) * (WIDTH - 2 * EDGE);
    const y = EDGE / 2 + (1 - (v - low) / (high - low)) * (HEIGHT - EDGE);
    return `${x.toFixed(1)} ${y.toFixed(1)}`;
  };
  attribute(line, "d", `M${points.map(place).join("L")}`);
  attribute(end, "d", `M${place(points[points.length - 1])}h0`);
}
