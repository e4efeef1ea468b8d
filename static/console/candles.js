// @ts-check
/** Draws bars with lightweight-charts, which is loaded when somebody looks. */
import { slotOf, withGaps } from "./bars.js";
import { colour } from "./canvas.js";
import { IST_AHEAD_MS, price } from "./format.js";
import { drawMarks, fillMarks, MARGIN_PX } from "./marks.js";
import { rangeWith } from "./scale.js";

/** @typedef {import("./bars.js").Bar} Bar */
/** @typedef {import("./bars.js").Interval} Interval */
/** @typedef {{ price: number, tone: string, isDashed: boolean }} Line */
/** @typedef {{ atMs: number, side: "BUY" | "SELL", quantity: number, text: string }} Fill */
/** @typedef {{ atMs: number, text: string }} Moment something that is of no one price */

const LIBRARY = new URL(
  "../vendor/lightweight-charts/lightweight-charts.standalone.production.mjs",
  import.meta.url,
).href;
/** The library's axis is in UTC, this page in IST. */
const AHEAD_S = IST_AHEAD_MS / 1000;
const DASHED = 2;
const FONT_PX = 12;
/** More prices on the axis would push each other far from where they are. */
const MOST_LABELS = 6;

/** @param {number} atMs */
const axisTime = (atMs) => Math.floor(atMs / 1000) + AHEAD_S;

function colours() {
  const gain = colour("gain"),
    loss = colour("loss");
  return {
    chart: {
      layout: { background: { color: "transparent" }, textColor: colour("quiet") },
      grid: { vertLines: { color: colour("line") }, horzLines: { color: colour("line") } },
      rightPriceScale: { borderColor: colour("line") },
      timeScale: { borderColor: colour("line") },
    },
    series: {
      upColor: gain,
      downColor: loss,
      wickUpColor: gain,
      wickDownColor: loss,
      borderVisible: false,
    },
  };
}

export class Candles {
  /** @param {HTMLElement} box @returns {Promise<Candles>} */
  static async in(box) {
    return new Candles(await import(LIBRARY), box);
  }

  /** Called after each drawing: the scales may have moved. */
  onDrawn = () => {};
  /** Draws once more what no price has changed. */
  redraw = () => {};
  /** The bars that the marks belong to. @type {Bar[] | null} */
  marked = null;

  /** @param {any} library @param {HTMLElement} box */
  constructor(library, box) {
    const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const { chart, series } = colours();
    const { fontFamily } = getComputedStyle(box);
    this.chart = library.createChart(box, {
      ...chart,
      autoSize: true,
      layout: {
        ...chart.layout,
        attributionLogo: false, // it would bring a style of its own; the page names the author
        fontFamily,
      },
      timeScale: {
        ...chart.timeScale,
        timeVisible: true,
        secondsVisible: false,
        rightOffset: 11, // room for the words at the newest bar
        barSpacing: 9, // wide enough to be seen when a day is young
        maxBarSpacing: 24,
      },
      localization: { locale: "en-GB", dateFormat: "dd MMM yyyy", priceFormatter: price },
      kineticScroll: { mouse: false, touch: !isCalm },
      handleScroll: { mouseWheel: false }, // the page scrolls by it
      handleScale: { mouseWheel: false },
    });
    this.series = this.chart.addSeries(library.CandlestickSeries, {
      ...series,
      priceFormat: { type: "price", precision: 4, minMove: 0.0001 },
      autoscaleInfoProvider: (/** @type {() => any} */ own) => this.withLevels(own()),
    });
    // A moment may fall into a gap: this series has its place on the axis, and draws nothing.
    this.moments = this.chart.addSeries(library.LineSeries, {
      lineVisible: false,
      crosshairMarkerVisible: false,
      lastValueVisible: false,
      priceLineVisible: false,
      autoscaleInfoProvider: () => null,
    });
    const draw = (/** @type {any} */ target) => {
      target.useMediaCoordinateSpace((/** @type {any} */ { context: ink, mediaSize }) => {
        ink.font = `${FONT_PX}px ${fontFamily}`;
        const xOf = (/** @type {number} */ at) => this.chart.timeScale().timeToCoordinate(at);
        drawMarks({ ink, ...mediaSize, xOf, yOf: (at) => this.yOf(at) }, this.marks);
      });
      this.onDrawn();
    };
    const views = [{ zOrder: () => "top", renderer: () => ({ draw }) }];
    this.series.attachPrimitive({
      paneViews: () => views,
      attached: (/** @type {any} */ { requestUpdate }) => {
        this.redraw = requestUpdate;
      },
    });
    /** @type {any[]} */
    this.lines = [];
    /** Their prices. @type {number[]} */
    this.levels = [];
    this.drawn = { lines: "", marks: "", count: 0 };
    /** @type {import("./marks.js").Mark[]} */
    this.marks = [];
  }

  /** What the scale shows besides the candles on screen. @param {any} info */
  withLevels(info) {
    if (!info?.priceRange) return info;
    const px = this.marks.length ? MARGIN_PX : 0;
    const margins = { above: px, below: px };
    return { ...info, priceRange: rangeWith(info.priceRange, this.levels), margins };
  }

  /** The theme changed. */
  recolour() {
    const { chart, series } = colours();
    this.chart.applyOptions(chart);
    this.series.applyOptions(series);
    this.drawn.lines = "";
    this.redraw();
  }

  /** @param {Bar[]} bars @param {Interval} interval @param {boolean} isNew another symbol or
   * interval, or another past */
  show(bars, interval, isNew) {
    const shape = (/** @type {any} */ { startMs, open, high, low, close }) =>
      open === undefined
        ? { time: axisTime(startMs) }
        : { time: axisTime(startMs), open, high, low, close };
    const isSame = !isNew && this.drawn.count === bars.length && bars.length > 0;
    if (isSame) this.series.update(shape(bars[bars.length - 1]));
    else this.series.setData(withGaps(bars, interval).map(shape));
    this.drawn.count = bars.length;
    if (isNew) this.chart.timeScale().scrollToRealTime();
  }

  /** @param {Line[]} lines @param {boolean} [isStill] the scale of prices stays as it is */
  draw(lines, isStill = false) {
    const text = JSON.stringify(lines);
    if (!isStill) this.levels = lines.map(({ price: at }) => at);
    if (this.drawn.lines === text) return;
    this.drawn.lines = text;
    for (const line of this.lines) this.series.removePriceLine(line);
    this.lines = lines.map(({ price: at, tone, isDashed }) =>
      this.series.createPriceLine({
        price: at,
        color: colour(tone),
        lineWidth: 1,
        lineStyle: isDashed ? DASHED : 0,
        axisLabelVisible: lines.length <= MOST_LABELS,
      }),
    );
  }

  /** @param {Fill[]} fills @param {Moment[]} moments halts and the like @param {Bar[]} bars
   * @param {Interval} interval */
  mark(fills, moments, bars, interval) {
    const text = JSON.stringify([fills, moments, bars.length, bars[0]?.startMs]);
    if (this.drawn.marks === text && this.marked === bars) return;
    this.drawn.marks = text;
    this.marked = bars;
    /** @type {Map<number, number>} */
    const points = new Map();
    /** @type {import("./marks.js").Mark[]} */
    const found = [];
    for (const { atMs, text: words } of moments) {
      const bar = bars.findLast(({ startMs }) => startMs <= atMs);
      if (!bar) continue;
      const time = axisTime(slotOf(bar, atMs, interval));
      points.set(time, bar.close);
      found.push({ time, text: words, tone: "warn", bar: null, isBuy: false });
    }
    const sorted = [...points].sort(([one], [other]) => one - other);
    this.moments.setData(sorted.map(([time, value]) => ({ time, value })));
    this.marks = [...fillMarks(fills, bars, axisTime), ...found];
    this.redraw();
  }

  /** All of it, from the first bar to the last. */
  fit() {
    this.chart.timeScale().fitContent();
  }

  /** Where a price is, in px from the top; null while there is no scale. @param {number} at
   * @returns {number | null} */
  yOf(at) {
    return this.series.priceToCoordinate(at);
  }

  /** The reverse. @param {number} y @returns {number | null} */
  priceAt(y) {
    return this.series.coordinateToPrice(y);
  }

  /** What is beside and above the scales, and the width of the one beside it, in px. */
  frame() {
    const { width, height } = this.chart.paneSize();
    return { right: this.chart.priceScale("right").width(), width, height };
  }

  /** By the keyboard. @param {string} key @returns {boolean} whether it means anything here */
  press(key) {
    const scale = this.chart.timeScale();
    const { from, to } = scale.getVisibleLogicalRange() ?? { from: 0, to: 0 };
    const steps = Math.max(1, (to - from) / 10);
    if (key === "ArrowLeft") scale.setVisibleLogicalRange({ from: from - steps, to: to - steps });
    else if (key === "ArrowRight")
      scale.setVisibleLogicalRange({ from: from + steps, to: to + steps });
    else if (key === "+" || key === "ArrowUp")
      scale.setVisibleLogicalRange({ from: from + steps, to });
    else if (key === "-" || key === "ArrowDown")
      scale.setVisibleLogicalRange({ from: from - 2 * steps, to });
    else if (key === "End") scale.scrollToRealTime();
    else return false;
    return true;
  }
}
