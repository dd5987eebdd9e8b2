"""How uv is called: what stands in its arguments and what in its variables."""

from __future__ import annotations

from pathlib import Path

from taxiway.environments import uv
from taxiway.environments.uv import Sources

INDEX = "https://robot:s3cret@packages.example/simple"
HOST = {
    "PATH": "/usr/bin", "HOME": "/home/me", "HTTPS_PROXY": "http://proxy:3128", "SSL_CERT_FILE": "/etc/ca.pem",
    "UV_DEFAULT_INDEX": "https://other.example/simple", "UV_INDEX_MINE_PASSWORD": "p", "UV_INDEX": "mine=https://m",
    "UV_SYSTEM_PYTHON": "1", "VIRTUAL_ENV": "/v", "PYTHONPATH": "/p", "TAXIWAY_DATABASE__URL": "postgresql://u:p@h/d",
    "AWS_SECRET_ACCESS_KEY": "k",
}  # fmt: skip
PATHS = {"python": Path("/e/bin/python"), "lock": Path("/e/lock")}


def test_secrets_of_an_index_stand_in_no_argument() -> None:
    sources = Sources(index_url=INDEX)
    resolve = uv.resolve("uv", sources, asked=Path("/e/in"), **PATHS)
    assert "s3cret" not in " ".join(resolve + uv.install("uv", sources, **PATHS))
    assert uv.variables(sources, HOST, cache=Path("/c"))["UV_DEFAULT_INDEX"] == INDEX


def test_uv_inherits_what_reaches_the_network_and_nothing_of_ours() -> None:
    variables = uv.variables(Sources(index_url=INDEX), HOST, cache=Path("/c"))
    assert variables == {
        "PATH": "/usr/bin", "HOME": "/home/me", "HTTPS_PROXY": "http://proxy:3128", "SSL_CERT_FILE": "/etc/ca.pem",
        "UV_DEFAULT_INDEX": INDEX, "UV_CACHE_DIR": "/c", "UV_PYTHON_DOWNLOADS": "never", "NO_COLOR": "1",
        "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8",
    }  # fmt: skip


def test_the_hosts_own_indexes_count_where_none_is_set() -> None:
    variables = uv.variables(Sources(), HOST, cache=Path("/c"))
    assert variables["UV_DEFAULT_INDEX"] == "https://other.example/simple"
    assert variables["UV_INDEX_MINE_PASSWORD"] == "p"
    assert variables["UV_INDEX"] == "mine=https://m"
    assert "--no-config" not in uv.install("uv", Sources(), **PATHS)


def test_sources_become_options() -> None:
    strict = uv.resolve("uv", Sources(), asked=Path("/e/in"), **PATHS)
    assert strict[-2:] == ["--no-build", "/e/in"]
    offline = Sources(wheel_store=Path("/w"), is_offline=True, allow_source_builds=True, index_url="https://i")
    assert uv.install("uv", offline, **PATHS)[-5:] == ["--no-config", "--find-links", "/w", "--offline", "/e/lock"]


def test_credentials_are_masked() -> None:
    assert uv.mask(f"error: cannot fetch `{INDEX}/numpy/`") == (
        "error: cannot fetch `https://****@packages.example/simple/numpy/`"
    )
    assert uv.mask("see https://docs.example/a@b") == "see https://docs.example/a@b"
