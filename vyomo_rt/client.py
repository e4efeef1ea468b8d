"""The client for Python under the name of the server's package; see `vyomo_rt_client`."""

from vyomo_rt_client import (
    Api,
    ApiError,
    Gap,
    Message,
    Position,
    Refused,
    Status,
    Stream,
    connect,
)

__all__ = [
    "Api", "ApiError", "Gap", "Message", "Position", "Refused", "Status", "Stream", "connect",
]  # fmt: skip
