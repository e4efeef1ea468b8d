"""The REST calls of the kill switch."""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import web

from vyomo_rt.domain.grant import Need
from vyomo_rt.trading.writer import Writer
from vyomo_rt.web.answers import json_answer
from vyomo_rt.web.command import TAKES_EMPTY, Command
from vyomo_rt.web.routes import API, Route
from vyomo_rt.wire.halt import CloseAll, Closed, HaltAll, HaltAnswer, closed, halt_answer

_CONFLICT, _AWAY = HTTPStatus.CONFLICT, HTTPStatus.SERVICE_UNAVAILABLE


class HaltRoutes:
    """Handlers of the kill switch: of one session, of all that the caller may trade."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def routes(self) -> list[Route]:
        """The table of the calls."""
        # fmt: off
        return [
            Route("POST", f"{API}/sessions/{{sessionId}}/close-all", Need.TRADE, self.close_all,
                  "sessions", Closed, body=(CloseAll,), refuses=(_CONFLICT, _AWAY),
                  takes=TAKES_EMPTY),
            Route("POST", f"{API}/halt", Need.TRADE, self.halt, "sessions", HaltAnswer,
                  body=(HaltAll,), refuses=(_AWAY,),
                  takes=TAKES_EMPTY),
        ]
        # fmt: on

    async def close_all(self, command: Command) -> web.Response:
        """Halt a session, end its pending entries, and close all its trades.

        They close at the last known prices, stale or not. A trade without any price is in
        ``failed``, and closes at its first one. With ``halt`` false the status stays, and what
        cannot be closed now stays open.
        """
        session_id = command.id("sessionId")
        async with command.in_time():
            halted = await self._writer.close_all(
                session_id, command.operation, lambda: command.read(CloseAll).order()
            )
        return json_answer(closed(halted))

    async def halt(self, command: Command) -> web.Response:
        """Halt every session that the caller may trade, apart from STOPPED ones.

        With ``closeAll`` they are closed like by ``close-all``. If some could not be halted, the
        answer is 503 although others were: try again.
        """
        async with command.in_time():
            halted = await self._writer.halt(
                command.grant, command.operation, lambda: command.read(HaltAll).order()
            )
        return json_answer(halt_answer(halted))
