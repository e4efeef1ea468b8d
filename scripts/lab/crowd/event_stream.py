"""A measuring client over Server-Sent Events."""

from __future__ import annotations

from urllib.parse import urlencode

from lab.crowd.watcher import PRICE, Watcher


class EventStreamWatcher(Watcher):
    """A client over Server-Sent Events."""

    __slots__ = ()
    _STATUS = b" 200 "

    def _acks(self) -> int:
        return 1

    def _request(self) -> str:
        plan = self._plan
        query: dict[str, object] = {}
        if plan.session_id:
            query["sessionId"] = plan.session_id
        if plan.update_interval_ms is not None:
            query["updateInterval"] = plan.update_interval_ms
        if plan.symbols:
            query |= {"symbols": ",".join(plan.symbols), "priceInterval": plan.interval_ms}
        return f"GET /sse/auto-trader?{urlencode(query)} HTTP/1.1"

    def _read(self, data: bytes, look: bool) -> tuple[int, int, int]:
        at = consumed = messages = prices = 0
        parts = []
        while (head_end := data.find(b"\r\n", at)) >= 0:
            end = head_end + 4 + (size := int(data[at:head_end], 16))
            if end > len(data):
                break
            if not size:
                self.close("ended by the server")
                return end, messages, prices
            parts.append(data[head_end + 2 : end - 2])
            at = end
            # The server's own chunks are whole events; a proxy may divide them differently, even
            # between the two line ends of an event.
            if parts[-1].endswith(b"\n") and (text := b"".join(parts)).endswith(b"\n\n"):
                consumed = at
                parts.clear()
                messages += text.count(b"\n\n")
                prices += text.count(PRICE)
                if look:
                    self._look_into(text)
        return consumed, messages, prices

    def _look_into(self, text: bytes) -> None:
        for line in text.split(b"\n"):
            if line.startswith(b"data: "):
                self._look(line[6:])
