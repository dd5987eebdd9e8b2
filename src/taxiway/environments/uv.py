"""How uv is called: its arguments and its variables. Pure; ``running.py`` starts it.

Credentials of an index never stand in arguments, which every process of the host can read, but in variables.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_ALWAYS = frozenset({
    "PATH", "HOME", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "SSL_CLIENT_CERT", "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy",
    "no_proxy", "NETRC", "UV_HTTP_TIMEOUT", "UV_HTTP_CONNECT_TIMEOUT", "UV_HTTP_RETRIES", "UV_REQUEST_TIMEOUT",
    "UV_NATIVE_TLS", "UV_SYSTEM_CERTS", "UV_INSECURE_HOST", "UV_CONCURRENT_DOWNLOADS", "UV_CONCURRENT_INSTALLS",
    "UV_CONCURRENT_BUILDS", "UV_OFFLINE",
})  # fmt: skip
"""HOME is kept for ``~/.netrc``, where credentials of an index may be, and for uv's own configuration."""
_OWN_CONFIGURATION = frozenset({
    "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS", "UV_CONFIG_FILE", "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS",
    "UV_KEYRING_PROVIDER", "UV_NO_INDEX",
})  # fmt: skip
_USERINFO = re.compile(r"(://)[^/\s@'\"`]+@")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where packages come from. ``index_url`` '' means the host's own uv configuration."""

    index_url: str = ""
    wheel_store: Path | None = None
    is_offline: bool = False
    allow_source_builds: bool = False


def venv(uv: str, *, interpreter: Path, directory: Path) -> list[str]:
    """Return the command that makes an empty environment that may be moved."""
    return [uv, "venv", "--relocatable", "--no-project", "--no-config", "--python", str(interpreter), str(directory)]


def resolve(uv: str, sources: Sources, *, python: Path, asked: Path, lock: Path) -> list[str]:
    """Return the command that turns requirements into exact versions with hashes."""
    return [
        uv, "pip", "compile", "--python", str(python), "--generate-hashes", "--no-annotate", "--no-header",
        "--output-file", str(lock), *_options(sources), str(asked),
    ]  # fmt: skip


def install(uv: str, sources: Sources, *, python: Path, lock: Path) -> list[str]:
    """Return the command that installs a lock, hard links first; uv itself copies where it cannot link."""
    return [
        uv, "pip", "sync", "--python", str(python), "--require-hashes", "--link-mode", "hardlink",
        *_options(sources), str(lock),
    ]  # fmt: skip


def variables(sources: Sources, host: Mapping[str, str], *, cache: Path) -> dict[str, str]:
    """Return the whole environment of uv: certificates, proxies and time-outs of the host, nothing of ours."""
    kept = {key: value for key, value in host.items() if key in _ALWAYS}
    if not sources.index_url:
        is_index = re.compile(r"UV_INDEX(_|\Z)")
        kept |= {key: value for key, value in host.items() if key in _OWN_CONFIGURATION or is_index.match(key)}
    else:
        kept["UV_DEFAULT_INDEX"] = sources.index_url
    return kept | {
        "UV_CACHE_DIR": str(cache),
        "UV_PYTHON_DOWNLOADS": "never",
        "NO_COLOR": "1",
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
    }


def mask(text: str) -> str:
    """Return the text with the credentials of URLs left out."""
    return _USERINFO.sub(r"\1****@", text)


def _options(sources: Sources) -> list[str]:
    options = []
    if sources.index_url:
        options.append("--no-config")
    if sources.wheel_store is not None:
        options += ["--find-links", str(sources.wheel_store)]
    if sources.is_offline:
        options.append("--offline")
    if not sources.allow_source_builds:
        options.append("--no-build")
    return options
