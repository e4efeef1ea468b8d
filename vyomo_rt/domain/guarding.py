"""Which guards a trade may have: at its opening, and when a request changes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

from vyomo_rt.domain.errors import BadRequest, Conflict
from vyomo_rt.domain.guards import Guards
from vyomo_rt.domain.money import MAX_PRICE_E4, Side
from vyomo_rt.domain.trade import Trade, TradeChange, TradeChangeReason, check_levels

G = TypeVar("G", bound=Guards)

DEFAULT_TICK_E4 = 500
"""The step of prices of an instrument of which none is known: ₹0.05."""
_STEPS_A_DISTANCE = 10


def opening_guards(
    guards: Guards, side: Side, entry_price_e4: int, tick_e4: Callable[[], int]
) -> dict[str, Any]:
    """The guards with which a trade opens. Raises BadRequest.

    A trailing stop without ``trail_from_e4`` begins at its distance from the entry, unless the
    given stop is tighter. ``tick_e4`` is the step of the instrument's prices.
    """
    check_levels(side, entry_price_e4, guards.stop_loss_e4, guards.target_e4)
    check_moving(guards, side, entry_price_e4)
    found: dict[str, Any] = {field.name: getattr(guards, field.name) for field in fields(Guards)}
    if guards.trailing_stop_e4 is None:
        return found
    if guards.trailing_step_e4 is None:
        found["trailing_step_e4"] = default_step_e4(guards.trailing_stop_e4, tick_e4())
    if guards.trail_from_e4 is None:
        behind_e4 = entry_price_e4 - side.sign * guards.trailing_stop_e4
        given_e4 = guards.stop_loss_e4
        stops_e4 = [behind_e4] if given_e4 is None else [behind_e4, given_e4]
        found["stop_loss_e4"] = max(stops_e4) if side is Side.BUY else min(stops_e4)
    return found


def default_step_e4(distance_e4: int, tick_e4: int) -> int:
    """A tenth of a trailing stop's distance, rounded up to the tick, at most the distance."""
    ticks = -(-distance_e4 // (_STEPS_A_DISTANCE * tick_e4))
    return min(ticks * tick_e4, distance_e4)


def check_moving(guards: Guards, side: Side, entry_price_e4: int) -> None:
    """Raise BadRequest for guards that could not move a stop as they say."""
    check_step(guards)
    if guards.trailing_stop_e4 is not None:
        _check_distance(guards.trailing_stop_e4, side, entry_price_e4)
    level_e4 = guards.breakeven_at_e4
    if level_e4 is not None and (level_e4 - entry_price_e4) * side.sign <= 0:
        where = "above" if side is Side.BUY else "below"
        raise BadRequest(
            f"breakevenAt must be {where} entryPrice for a {side} trade", "breakevenAt"
        )


def check_step(guards: Guards) -> None:
    """Raise BadRequest for members of a trailing stop that do not go together."""
    distance_e4, step_e4 = guards.trailing_stop_e4, guards.trailing_step_e4
    if distance_e4 is None:
        for name, value in (("trailingStep", step_e4), ("trailFrom", guards.trail_from_e4)):
            if value is not None:
                raise BadRequest(f"{name}: only with trailingStop, which is not set", name)
    elif step_e4 is not None and step_e4 > distance_e4:
        raise BadRequest("trailingStep: must not be above trailingStop", "trailingStep")


def _check_distance(distance_e4: int, side: Side, entry_price_e4: int) -> None:
    if side is Side.BUY and distance_e4 >= entry_price_e4:
        raise BadRequest(
            "trailingStop is a distance: it must be below entryPrice for a BUY trade",
            "trailingStop",
        )
    if side is Side.SELL and entry_price_e4 + distance_e4 > MAX_PRICE_E4:
        raise BadRequest("trailingStop is a distance: the stop would be no price", "trailingStop")


def amended(
    trade: Trade,
    changes: Mapping[str, Any],
    *,
    newest: Trade,
    price_e4: int | None,
    tick_e4: Callable[[], int],
    is_halted: bool,
    at_ms: int,
) -> Trade:
    """An open trade after a request; the same object if nothing changes.

    ``changes`` are members of a Trade, None to take one away. ``newest`` is the trade with the
    stop that exits go by, ``price_e4`` the last fresh price. Raises BadRequest and Conflict.
    """
    after = replace(trade, **changes)
    if "trailing_stop_e4" in changes or "trailing_step_e4" in changes:
        after = with_step(after, changes, tick_e4)
    check_moving(after, trade.side, trade.entry_price_e4)
    if "stop_loss_e4" in changes and is_halted:
        _forbid_loosening(newest, after.stop_loss_e4)
    for name, field, sign in (
        ("stopLoss", "stop_loss_e4", trade.side.sign),
        ("target", "target_e4", -trade.side.sign),
    ):
        if field in changes and price_e4 is not None:
            _require_side(name, getattr(after, field), price_e4, sign)
    stop_stays = "stop_loss_e4" not in changes or after.stop_loss_e4 == newest.stop_loss_e4
    if stop_stays and after == trade:
        return trade
    if "stop_loss_e4" in changes:
        after = _on_new_base(after, trade, newest, changes)
    return replace(after, change=TradeChange(TradeChangeReason.MANUAL, at_ms))


def _on_new_base(after: Trade, trade: Trade, newest: Trade, changes: Mapping[str, Any]) -> Trade:
    """A trade whose stop was set by a request, which drops a move that waits."""
    if {trade.stop_loss_e4, newest.stop_loss_e4} != {after.stop_loss_e4}:
        after = replace(after, stop_moved_by=None)
    if "breakeven_at_e4" in changes:
        return after
    # A level that was reached acts once, also if what it did was never stored.
    return replace(after, breakeven_at_e4=newest.breakeven_at_e4)


def with_step(after: G, changes: Mapping[str, Any], tick_e4: Callable[[], int]) -> G:
    """A new distance without a step gets one of its own; without a distance there is none."""
    if after.trailing_stop_e4 is None:
        if changes.get("trailing_step_e4") is not None:
            return after
        trail_from_e4 = changes.get("trail_from_e4")
        return replace(after, trailing_step_e4=None, trail_from_e4=trail_from_e4)
    if changes.get("trailing_step_e4") is None:
        return replace(after, trailing_step_e4=default_step_e4(after.trailing_stop_e4, tick_e4()))
    return after


def _forbid_loosening(newest: Trade, stop_e4: int | None) -> None:
    before_e4 = newest.stop_loss_e4
    if before_e4 is None:
        return
    if stop_e4 is None or (stop_e4 - before_e4) * newest.side.sign < 0:
        raise Conflict(
            f"stopLoss: session {newest.session_id} is HALTED, so the stop of trade "
            f"{newest.trade_id} may only be tightened",
            "stopLoss",
        )


def _require_side(name: str, level_e4: int | None, price_e4: int, sign: int) -> None:
    if level_e4 is not None and (price_e4 - level_e4) * sign <= 0:
        where = "below" if sign > 0 else "above"
        raise Conflict(
            f"{name}: {_shown(level_e4)} is not {where} the last price {_shown(price_e4)}", name
        )


def _shown(price_e4: int) -> str:
    return f"{price_e4 / 10_000:.4f}".rstrip("0").rstrip(".")
