"""Prints prices, trades and P&L as they move."""

import argparse
import asyncio
import sys

from vyomo_rt_client import Refused, Status, connect


def report(status: Status) -> None:
    hint = "; is it running (make run)?" if "no server" in status.detail else ""
    print(f"-- {status}{hint}", file=sys.stderr)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", nargs="?", default="http://localhost:4025", help="%(default)s")
    parser.add_argument("--session", type=int, metavar="ID", help="show this session too")
    parser.add_argument("--symbols", default="NIFTY,BANKNIFTY", metavar="A,B", help="%(default)s")
    asked = parser.parse_args()
    symbols = [symbol for symbol in asked.symbols.split(",") if symbol]
    stream = connect(asked.url, session_id=asked.session, symbols=symbols, on_status=report)
    async for message in stream:
        data = message.data
        match message.type:
            case "price_update":
                line = f"{data['symbol']:<12} {data['price']:>12,.2f}"
            case "trade_opened":
                line = f"opened {data['side']} {data['quantity']} {data['symbol']}"
            case "trade_closed":
                line = f"closed {data['symbol']}: {data['pnl']:+,.2f} ({data['exitReason']})"
            case "session_update":
                line = f"today {data['todayPnL']:+,.2f}, open {data['unrealizedPnL']:+,.2f}"
            case _:
                continue
        print(line, flush=True)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except (KeyboardInterrupt, BrokenPipeError):
        pass
    except (Refused, ValueError) as error:
        sys.exit(f"demo_client: {error}")
