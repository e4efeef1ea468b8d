"""Reports: what is asked for, and the figures of their rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from msgspec import Meta, field

from vyomo_rt.domain.report import Key, ReportBy, ReportOrder, Results
from vyomo_rt.wire.decoding import Body
from vyomo_rt.wire.encoding import Data, around_list, encode
from vyomo_rt.wire.moment import ClientDay, read_day
from vyomo_rt.wire.numbers import unscaled
from vyomo_rt.wire.values import Count, Money, Percent

_Loss = Annotated[Money, Meta(description="₹, at most 2 decimals, 0 or negative")]


class ReportQuery(Body):
    by: ReportBy = ReportBy.DAY
    from_: ClientDay | None = field(default=None, name="from")
    to: ClientDay | None = None
    net: Annotated[bool, Meta(description="Everything net of charges that is gross otherwise")] = (
        False
    )

    def order(self) -> ReportOrder:
        """What is asked for. Raises BadRequest."""
        return ReportOrder(
            by=self.by,
            first_day=read_day("from", self.from_),
            last_day=read_day("to", self.to),
            net=self.net,
        )


class ReportFigures(Data):
    trades: Annotated[Count, Meta(description="Whole trades whose last part is counted here")]
    wins: Count
    losses: Count
    pnl: Annotated[Money, Meta(description="Gross, of all parts that were closed")]
    charges: Money
    net_pnl: Money = field(name="netPnl")
    win_rate: Annotated[Percent | None, Meta(description="Null without a trade")]
    profit_factor: Annotated[
        Percent | None, Meta(description="Sum of wins ÷ |sum of losses|; null without a loss")
    ]
    average_win: Money | None
    average_loss: _Loss | None
    best: Annotated[Money | None, Meta(description="Of whole trades; null without a trade")]
    worst: Annotated[
        _Loss | None, Meta(description="The largest loss, 0 if none lost; null without a trade")
    ]
    max_drawdown: _Loss


class ReportRow(ReportFigures):
    """The closings of one key."""

    key: Annotated[
        str | None,
        Meta(
            description="The date, week, month, symbol, tag, reason or hour (in Asia/Kolkata);"
            " null for trades without a tag",
            examples=["2026-11-23", "2026-W48", "2026-11", "NIFTY", "gap", "SL", "09"],
        ),
    ]


class ReportDocument(Data):
    """Rows by key; ``total`` counts each closing once."""

    rows: list[ReportRow]
    total: ReportFigures


def around_report(total: Results) -> tuple[bytes, bytes]:
    """The JSON of a ReportDocument before and behind its rows."""
    return around_list(ReportDocument([], ReportFigures(**_figures(total))))


def report_text(rows: Iterable[tuple[Key, Results]]) -> bytes:
    """Rows of a ReportDocument."""
    return encode([ReportRow(key=key, **_figures(results)) for key, results in rows])[1:-1]


def _figures(results: Results) -> dict[str, Any]:
    """The members of ReportFigures."""
    money = {
        "pnl": results.pnl_paise,
        "charges": results.charges_paise,
        "net_pnl": results.net_paise,
        "average_win": results.average_win_paise,
        "average_loss": results.average_loss_paise,
        "best": results.best_paise,
        "worst": results.worst_paise,
        "max_drawdown": results.max_drawdown_paise,
    }
    ratios = {"win_rate": results.win_rate_e2, "profit_factor": results.profit_factor_e2}
    counts = {"trades": results.trades, "wins": results.wins, "losses": results.losses}
    return counts | {
        name: None if hundredths is None else unscaled(hundredths, 2)
        for name, hundredths in (money | ratios).items()
    }
