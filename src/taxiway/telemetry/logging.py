"""Logs of the control plane: JSON lines with one fixed phrase an event, or coloured text on a terminal."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

SECRET_NAMES = re.compile(r"password|secret|token|authorization|cookie", re.IGNORECASE)
SECRET_VALUES = re.compile(r"\btwy_[0-9A-Za-z]+|\beyJ[\w-]+\.[\w-]+\.[\w-]+")
HIDDEN = "[hidden]"


def hide_secrets(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Hide values under telling names and anything that looks like a token of ours."""
    for name, value in event.items():
        if SECRET_NAMES.search(name) and name != "token_id":
            event[name] = HIDDEN
        elif isinstance(value, str):
            event[name] = SECRET_VALUES.sub(HIDDEN, value)
    return event


def configure_logging(*, level: str = "info") -> None:
    """Set up structlog and the standard library's logging, once, at the start of a process."""
    is_terminal = sys.stderr.isatty()
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        hide_secrets,
    ]
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if is_terminal else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
