"""The REST calls that say what a session has earned, and how that went."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from http import HTTPStatus

from aiohttp import web

from vyomo_rt.domain.grant import Need
from vyomo_rt.trading.curves import Curves
from vyomo_rt.trading.records import Records
from vyomo_rt.trading.reports import Reports
from vyomo_rt.web.long_answers import LongAnswers
from vyomo_rt.web.routes import API, Route, query_of
from vyomo_rt.wire.curve import Curve, CurveQuery, around_curve, curve_text
from vyomo_rt.wire.query import path_id, query_as
from vyomo_rt.wire.report import ReportDocument, ReportQuery, around_report, report_text

_SESSION = API + "/sessions/{sessionId}"
_ROWS = 200
"""Rows that are encoded in one step: three milliseconds."""
_AWAY = (HTTPStatus.SERVICE_UNAVAILABLE,)


class ReportRoutes:
    """Handlers of reports and curves."""

    def __init__(
        self, reports: Reports, records: Records, curves: Curves, long_answers: LongAnswers
    ) -> None:
        self._reports = reports
        self._records = records
        self._curves = curves
        self._long_answers = long_answers

    def routes(self) -> list[Route]:
        """The table of the calls."""
        return [
            Route("GET", f"{_SESSION}/report", Need.SEE, self.show_report, "reports",
                  ReportDocument, parameters=query_of(ReportQuery), refuses=_AWAY),
            Route("GET", f"{_SESSION}/curve", Need.SEE, self.show_curve, "reports",
                  Curve, parameters=query_of(CurveQuery), refuses=_AWAY),
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
            await self._long_answers.next_turn()
            texts.append(report_text(rows[start : start + _ROWS]))
        head, tail = around_report(report.total)
        return await self._long_answers.send(request, head + b",".join(texts) + tail)

    async def show_curve(self, request: web.Request) -> web.StreamResponse:
        """Show a session's P&L of each minute of the last 30 days, as of its beginning.

        Minutes in which the server did not run are left out.
        """
        session_id = path_id(request.match_info, "sessionId")
        minutes = query_as(request.query, CurveQuery).minutes()
        await self._records.session(session_id)

        async def parts() -> AsyncGenerator[bytes, None]:
            before, tail = around_curve()
            async with aclosing(self._curves.days(session_id, *minutes)) as days:
                async for rows in days:
                    for start in range(0, len(rows), _ROWS):
                        await self._long_answers.next_turn()
                        yield before + curve_text(rows[start : start + _ROWS])
                        before = b","
            yield tail if before == b"," else before + tail

        return await self._long_answers.send_json(request, parts())
