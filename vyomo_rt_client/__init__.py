"""Client of a vyomo-rt server: prices, trades and P&L over WebSocket or Server-Sent Events.

    from vyomo_rt_client import connect

    async for message in connect("http://localhost:4025", session_id=6, symbols=["NIFTY"]):
        if message.type == "trade_closed":
            print(message.data["symbol"], message.data["pnl"])

After a lost connection it comes back by itself, takes up the same subscription and resumes the
session where it stopped: every event is delivered once and in order.

Nothing is read ahead: the connection is read while the program waits for a message. A program that
is slow gets the newest prices and figures instead of all of them, but every event. The
server takes one for gone that does not ask for a message for half a minute; when it asks again,
it is connected and resumed.

What is to be done, rather than watched, are the methods of `Api`.
"""

from vyomo_rt_client.api import Api, ApiError
from vyomo_rt_client.messages import Gap, Message, Position, Refused, Status
from vyomo_rt_client.stream import Stream, connect

__all__ = [
    "Api", "ApiError", "Gap", "Message", "Position", "Refused", "Status", "Stream", "connect",
]  # fmt: skip
