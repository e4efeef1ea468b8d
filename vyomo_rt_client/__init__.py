"""A client of vyomo-rt servers: prices, trades and P&L over WebSocket or Server-Sent Events.

    from vyomo_rt_client import connect

    async for message in connect("http://localhost:4025", session_id=6, symbols=["NIFTY"]):
        if message.type == "trade_closed":
            print(message.data["symbol"], message.data["pnl"])

After a lost connection it reconnects by itself, subscribes to the same things and resumes the
session where it stopped: every event is delivered once and in order.

Nothing is read ahead: the connection is read while the program waits for a message. A slow program
gets only the newest prices and figures, but every event. If it does not ask for a message for half
a minute, the server considers it gone; when it asks again, it is reconnected and resumed.

The methods of `Api` make the REST calls.
"""

from vyomo_rt_client.api import Api
from vyomo_rt_client.calls import ApiError
from vyomo_rt_client.messages import Gap, Message, Position, Refused, Status
from vyomo_rt_client.opening import connect
from vyomo_rt_client.stream import Stream

__all__ = [
    "Api", "ApiError", "Gap", "Message", "Position", "Refused", "Status", "Stream", "connect",
]  # fmt: skip
