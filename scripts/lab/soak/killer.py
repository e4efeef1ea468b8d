"""Somebody who pulls the kill switch of a soaked server now and then, and lifts the halt again."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress

from lab.soak.site import Site
from lab.soak.truth import SessionTruth
from lab.soak.violated import Violated

_PAUSES_S = (1.0, 5.0)
_HALTED_FOR_S = 0.5


class Killer:
    """Closes all of a session, with a halt or without, or halts all sessions at once."""

    def __init__(self, site: Site, sessions: list[SessionTruth], counts: Counter[str]) -> None:
        self._site = site
        self._sessions = sessions
        self._counts = counts

    async def run(self) -> None:
        """Until the soak stops; then every session is ACTIVE, so that the writers can finish.

        All sessions are halted once, whatever chance says, so that each soak has seen a halt.
        """
        rng, stopping = self._site.rng, self._site.stopping
        await self._halt(rng.random() < 0.5)
        await self._lift_all()
        while not stopping.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), rng.uniform(*_PAUSES_S))
                return
            if rng.random() < 0.3:
                await self._halt(rng.random() < 0.5)
            else:
                await self._close_all(rng.choice(self._sessions).session_id, rng.random() < 0.7)
            await self._lift_all()

    async def _lift_all(self) -> None:
        await asyncio.sleep(self._site.rng.uniform(0, _HALTED_FOR_S))
        for session in self._sessions:
            await self._lift(session.session_id)

    async def _halt(self, close_all: bool) -> None:
        body = {"closeAll": close_all, "reason": "soak"}
        _, answer = await self._site.until_answered("/halt", body, None, {200})
        halted = {each["sessionId"] for each in answer["sessions"]}
        if missing := {session.session_id for session in self._sessions} - halted:
            raise Violated(f"a halt reaches every session: not {sorted(missing)}")
        self._counts["halts"] += 1

    async def _close_all(self, session_id: int, halt: bool) -> None:
        path = f"/sessions/{session_id}/close-all"
        _, answer = await self._site.until_answered(path, {"halt": halt}, None, {200})
        if answer["failed"]:
            raise Violated(f"what has had a price can be closed: POST {path}: {answer}")
        self._counts["halts" if halt else "closes of everything"] += 1

    async def _lift(self, session_id: int) -> None:
        """Lift a halt, once everything is closed that it closes."""
        path, body = f"/sessions/{session_id}", {"status": "ACTIVE"}
        status = 409
        while status == 409:
            await asyncio.sleep(0.02)
            status, _ = await self._site.until_answered(
                path, body, None, {200, 409}, method="PATCH"
            )
