"""Pages of logs, as the log routes share them."""

from __future__ import annotations

from dataclasses import replace

from taxiway.domain.errors import InvalidInput
from taxiway.domain.logs import LogName, LogPage
from taxiway.ports import LogStore

MOST_LINES = 10_000


async def read_log(
    logs: LogStore, name: LogName, *, after: int | None, tail: int | None, contains: str | None, limit: int
) -> LogPage:
    """Read from a sequence on, or the last lines. Raises InvalidInput when both are asked."""
    if tail is None:
        return await logs.read(name, after=after or 0, limit=limit, contains=contains)
    if after is not None:
        raise InvalidInput("Only one of `after` and `tail` can be given.", hint="Leave one out.")
    page = await logs.tail(name, limit=MOST_LINES if contains else tail)
    if contains:
        found = tuple(line for line in page.lines if contains in line.text)
        page = replace(page, lines=found[-tail:])
    return page
