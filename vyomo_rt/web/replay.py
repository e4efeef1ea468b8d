"""The REST call about a replay."""

from __future__ import annotations

from http import HTTPStatus
from typing import Protocol

from aiohttp import web

from vyomo_rt.domain.errors import Conflict
from vyomo_rt.domain.grant import Need
from vyomo_rt.domain.replay import ReplayState
from vyomo_rt.web.answers import json_answer
from vyomo_rt.web.bodies import read_body
from vyomo_rt.web.routes import API, Route
from vyomo_rt.wire.decoding import convert_body, parse_body
from vyomo_rt.wire.replay import ReplayChange, ReplayData, replay_data

_MAX_BODY_BYTES = 64 * 1024


class Replay(Protocol):
    """What plays a recorded day."""

    def change(self, rate: float | None, is_paused: bool | None) -> None:
        """Go faster or slower from here on, or stand still, or go on."""

    def state(self) -> ReplayState:
        """How far it has come."""


class ReplayRoutes:
    """The handler of the call; ``replay`` is None if no recorded day is played."""

    def __init__(self, replay: Replay | None) -> None:
        self._replay = replay

    def routes(self) -> list[Route]:
        """The table of the call."""
        # fmt: off
        return [
            Route("PATCH", f"{API}/replay", Need.ADMINISTER, self.change_replay, "market",
                  ReplayData, body=(ReplayChange,), refuses=(HTTPStatus.CONFLICT,)),
        ]
        # fmt: on

    async def change_replay(self, request: web.Request) -> web.Response:
        """Let the market's clock of a replay run faster or slower, stand, or go on.

        409 unless the server plays a recorded day.
        """
        body = await read_body(request, _MAX_BODY_BYTES)
        change = convert_body(parse_body(body or b"{}"), ReplayChange)
        if self._replay is None:
            raise Conflict("no recorded day is played here: start with --feed replay:FILE", "path")
        self._replay.change(change.speed, change.paused)
        return json_answer(replay_data(self._replay.state()))
