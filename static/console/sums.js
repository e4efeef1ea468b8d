// @ts-check
/** What closed trades come to. */
import { toPaisa } from "./numbers.js";

/** @param {number[]} amounts */
const sum = (amounts) => toPaisa(amounts.reduce((all, one) => all + one, 0));

/** @param {{ pnl: number, netPnl?: number | null }[]} trades
 * @returns {{ count: number, won: number, lost: number, pnl: number, net: number | null }} `net`:
 *   null unless each of them has one */
export function sumOf(trades) {
  const pnls = trades.map(({ pnl }) => pnl);
  const nets = trades.map(({ netPnl }) => netPnl).filter((net) => net != null);
  return {
    count: trades.length,
    won: pnls.filter((pnl) => pnl > 0).length,
    lost: pnls.filter((pnl) => pnl < 0).length,
    pnl: sum(pnls),
    net: trades.length > 0 && nets.length === trades.length ? sum(nets) : null,
  };
}
