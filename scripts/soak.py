"""Soak test: a real server, used and disturbed at random for minutes or hours.

Four writers trade with retries, watchers follow over both transports and resume, a feed pushes
prices; sessions get rules and charges, are halted, lifted and squared off. Meanwhile processes are
killed and frozen, crowds come, clients break the rules and the feed goes wrong. All along, and once
more at the end, it compares what was acknowledged, announced and stored, and computes rules,
charges and reports anew. The same seed makes the same choices, but not at the same moments.

With --nodes several share one store, over a bus that loses, doubles, delays and reorders; clients
hop between them, clocks are wrong, and prices of one tick must close trades on all shards.

Exit code: 0 every invariant held, 1 one did not (the last line names it and the seed), 2 wrong
flags or no server, 130 interrupted (with the report so far).
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from lab.cli import open_all_files, publish
from lab.site.server import ServerFailed
from lab.soak.options import parse
from lab.soak.report import table
from lab.soak.run import soak


def main(argv: Sequence[str] | None = None) -> int:
    """Run the soak and return its exit code."""
    options = parse(argv, str(__doc__))
    open_all_files()
    try:
        report = asyncio.run(soak(options))
    except ServerFailed as problem:
        print(f"soak: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    publish(report, table(report), options.json)
    if report.violated:
        return 1
    return 130 if report.interrupted else 0


if __name__ == "__main__":
    sys.exit(main())
