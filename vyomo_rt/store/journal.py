"""The journal of the desk in MongoDB."""

from __future__ import annotations

from vyomo_rt.store.counters import Counters
from vyomo_rt.store.events import Events
from vyomo_rt.store.orders import Orders
from vyomo_rt.store.sessions import Sessions
from vyomo_rt.store.trades import Trades


class MongoStore(Sessions, Events, Trades, Orders, Counters):
    """All collections of one database; fulfils ``vyomo_rt.trading.journal.Journal``."""
