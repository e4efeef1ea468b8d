// @ts-check
/** What closed trades come to. */

/** A sum of exact amounts, but of binary ones. @param {number[]} amounts */
const exact = (amounts) => Math.round(amounts.reduce((sum, one) => sum + one, 0) * 100) / 100;

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
    pnl: exact(pnls),
    net: trades.length > 0 && nets.length === trades.length ? exact(nets) : null,
  };
}
