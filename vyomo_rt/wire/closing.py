"""Why the server closes a stream: the close codes, and what a client should do then."""

from __future__ import annotations

from enum import Enum, IntEnum


class Reconnect(Enum):
    """Whether to come back, in the words of the contract."""

    WITH_BACK_OFF = "Come back, with back-off."
    WITH_SINCE = "Come back, with `since`."
    REAUTHENTICATED = "Come back, with a new token."
    WHEN_TOLD = "Come back after `reconnectAfterMs`."
    NEVER = "Do not come back until the client is fixed."


class CloseCode(IntEnum):
    """The number in a WebSocket's close frame; below 4000 as RFC 6455 defines it."""

    words: str
    """When the server closes with this code."""
    reconnect: Reconnect

    def __new__(cls, number: int, words: str, reconnect: Reconnect) -> CloseCode:
        code = int.__new__(cls, number)
        code._value_ = number
        code.words = words
        code.reconnect = reconnect
        return code

    BROKEN = 1002, "a frame broke RFC 6455; it may have been a proxy", Reconnect.WITH_BACK_OFF
    BINARY = 1003, "a binary frame", Reconnect.NEVER
    NOT_UTF_8 = 1007, "text that is not UTF-8", Reconnect.NEVER
    TOO_BIG = 1009, "a message longer than allowed", Reconnect.NEVER
    FAILED = 1011, "the server failed at a command; its log says why", Reconnect.WITH_BACK_OFF
    SHUTDOWN = 4001, "the server shuts down", Reconnect.WHEN_TOLD
    EXPIRED = 4005, "the token has expired", Reconnect.REAUTHENTICATED
    SLOW = 4008, "too slow, or too many events behind", Reconnect.WITH_SINCE
    NO_PONG = 4012, "no pong", Reconnect.WITH_BACK_OFF
    TOO_FAST = 4013, "too many messages for more than 10 s", Reconnect.WITH_BACK_OFF
    BAD_TOKEN = 4500, "the token is not good, or was revoked, or signed out", Reconnect.NEVER
    NO_AUTH = 4502, "no `auth` within 10 s", Reconnect.NEVER
    KICKED = 4503, "an admin ended the connection", Reconnect.NEVER
    TOO_MANY = 4504, "too many connections", Reconnect.WITH_BACK_OFF
    NO_RIGHT = 4507, "the role may no longer use the stream", Reconnect.NEVER
    ERRORS = 4509, "100 errors in a minute", Reconnect.NEVER

    @property
    def description(self) -> str:
        """When, and what to do then, in sentences."""
        return f"{self.words[0].upper()}{self.words[1:]}. {self.reconnect.value}"
