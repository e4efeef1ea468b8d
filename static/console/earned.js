// @ts-check
/** What an event has added to the realised P&L: of a close after partial ones, the last part.
 * @param {string} type @param {any} data */
export function earned(type, data) {
  if (type === "trade_reduced") return data.pnl;
  if (type !== "trade_closed") return 0;
  if (!data.closedQuantity) return data.pnl;
  const sign = data.side === "BUY" ? 1 : -1;
  const pnl = (data.exitPrice - data.entryPrice) * data.closedQuantity * sign;
  return Math.round(pnl * 100) / 100;
}
