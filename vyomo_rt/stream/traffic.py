"""What the streams have written, and how long it took: figures for an operator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sized
from itertools import groupby
from operator import attrgetter

from prometheus_client import Histogram, Metric
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

from vyomo_rt.wire.frame import Frame, Framing

CLIENT_LEFT = "client"
REFUSED = "refused"

_EVENT = attrgetter("event")
_SECONDS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 60)


class Traffic:
    """Counts once per broadcast, in plain ints; uses Prometheus' own types only to measure time.

    It is a collector: the registry asks it when somebody asks the registry.
    """

    def __init__(self, paused: Sized) -> None:
        self._paused = paused
        # By framing, then by the event's name.
        self._messages: tuple[Counter[str], ...] = tuple(Counter() for _ in Framing)
        self._bytes: tuple[Counter[str], ...] = tuple(Counter() for _ in Framing)
        self.conflated = 0
        self.opened: Counter[Framing] = Counter()
        self.closed: Counter[tuple[str, Framing]] = Counter()
        self.resumptions: Counter[bool] = Counter({True: 0, False: 0})
        self._fan_out = Histogram(
            "vyomo_rt_fan_out_seconds",
            "Time to write one broadcast to all its connections",
            ["what"],
            buckets=_SECONDS,
            registry=None,
        )
        self.event_fan_out = self._fan_out.labels("event")
        self.session_fan_out = self._fan_out.labels("session")
        self.watch_fan_out = self._fan_out.labels("sessions")
        self.price_fan_out = self._fan_out.labels("prices")
        self.event_delay = Histogram(
            "vyomo_rt_event_delay_seconds",
            "From the tick or request that made a trade event to its last write; with the save",
            buckets=_SECONDS,
            registry=None,
        )

    def count(self, frames: Iterable[Frame], framing: Framing, receivers: int = 1) -> None:
        """Add messages that each of ``receivers`` connections got."""
        for event, group in groupby(frames, _EVENT):
            sizes = [len(frame.data[framing]) for frame in group]
            self.add(event, framing, len(sizes), sum(sizes), receivers)

    def add(
        self, event: str, framing: Framing, messages: int, bytes_: int, receivers: int = 1
    ) -> None:
        self._messages[framing][event] += receivers * messages
        self._bytes[framing][event] += receivers * bytes_

    def collect(self) -> Iterator[Metric]:
        yield _by_event("messages", "Messages written", self._messages)
        yield _by_event("message_bytes", "Bytes of messages written", self._bytes)
        yield CounterMetricFamily(
            "vyomo_rt_conflated_messages",
            "State messages that paused connections did not get, because newer ones follow",
            value=self.conflated,
        )
        yield from self._connections()
        yield GaugeMetricFamily(
            "vyomo_rt_connections_paused",
            "Streams whose socket takes no more at the moment",
            value=len(self._paused),
        )
        resumptions = CounterMetricFamily(
            "vyomo_rt_resumptions",
            "Subscriptions from a position, by whether it could be recovered",
            labels=["recovered"],
        )
        for recovered, count in self.resumptions.items():
            resumptions.add_metric([str(recovered).lower()], count)
        yield resumptions
        for histogram in (self._fan_out, self.event_delay):
            yield from histogram.collect()

    def _connections(self) -> Iterator[Metric]:
        connections = GaugeMetricFamily(
            "vyomo_rt_connections", "Open streams", labels=["transport"]
        )
        opened = CounterMetricFamily(
            "vyomo_rt_connections_opened", "Streams opened", labels=["transport"]
        )
        closed = CounterMetricFamily(
            "vyomo_rt_connections_closed",
            "Streams ended, by the server's close code (4008: too slow) or by the client",
            labels=["transport", "reason"],
        )
        for framing in Framing:
            ended = {why: n for (why, of), n in self.closed.items() if of is framing}
            connections.add_metric([framing.label], self.opened[framing] - sum(ended.values()))
            opened.add_metric([framing.label], self.opened[framing])
            for why, count in ended.items():
                closed.add_metric([framing.label, why], count)
        yield from (connections, opened, closed)


def _by_event(name: str, about: str, counts: tuple[Counter[str], ...]) -> Metric:
    family = CounterMetricFamily(f"vyomo_rt_{name}", about, labels=["type", "transport"])
    for framing in Framing:
        for event, count in counts[framing].items():
            family.add_metric([event, framing.label], count)
    return family
