"""The REST calls that say what a session has earned."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from aiohttp import web

from vyomo_rt.domain.grant import Need
from vyomo_rt.trading.reports import Reports
from vyomo_rt.web.long_answers import LongAnswers
from vyomo_rt.web.routes import API, Route, query_of
from vyomo_rt.wire.query import path_id, query_as
from vyomo_rt.wire.report import ReportDocument, ReportQuery, around_report, report_text

_SESSION = API + "/sessions/{sessionId}"
_ROWS = 200
"""Rows that are encoded in one step: three milliseconds."""
_AWAY = (HTTPStatus.SERVICE_UNAVAILABLE,)


class ReportRoutes:
    """Handlers of the reports."""

    def __init__(self, reports: Reports, long_answers: LongAnswers) -> None:
        self._reports = reports
        self._long_answers = long_answers

    def routes(self) -> list[Route]:
        """The table of the calls."""
        return [
            Route("GET", f"{_SESSION}/report", Need.SEE, self.show_report, "reports",
                  ReportDocument, parameters=query_of(ReportQuery), refuses=_AWAY),
        ]  # fmt: skip

    async def show_report(self, request: web.Request) -> web.StreamResponse:
        """Sum up a session's closed trades by day, week, month, symbol, tag, reason or hour.

        It is made from the session's events. Money and drawdown count parts where each was
        closed, everything else counts whole trades where their last part was.
        """
        session_id = path_id(request.match_info, "sessionId")
        order = query_as(request.query, ReportQuery).order()
        report = await self._reports.report(session_id, order)
        rows = report.rows
        texts: list[bytes] = []
        for start in range(0, len(rows), _ROWS):
            await asyncio.sleep(0)
            texts.append(report_text(rows[start : start + _ROWS]))
        head, tail = around_report(report.total)
        return await self._long_answers.send(request, head + b",".join(texts) + tail)
