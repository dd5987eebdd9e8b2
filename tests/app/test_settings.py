"""What settings refuse, and that their limits are those of the API and of the lifecycle."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import BaseModel

from taxiway.domain.errors import InvalidInput
from taxiway.domain.lifecycle import BUILD_DEADLINE
from taxiway.settings import EnvironmentSettings, PodSettings, Settings, database_place, parse_store_url, read_settings
from taxiway.wire.models import ConfigurationIn, ConversionIn


def bounds(model: type[BaseModel], name: str) -> dict[str, float]:
    limits = model.model_fields[name].metadata
    return {kind: getattr(limit, kind) for limit in limits for kind in ("ge", "le") if hasattr(limit, kind)}


@pytest.mark.parametrize(
    ("setting", "field"),
    [("start_deadline_seconds", "start_deadline_seconds"), ("predict_timeout_seconds", "timeout_seconds")],
)
def test_a_default_is_within_what_people_may_ask_for(setting: str, field: str) -> None:
    assert bounds(PodSettings, setting) == bounds(ConversionIn, field) == bounds(ConfigurationIn, field)


def test_the_builder_gives_up_before_the_controller_does() -> None:
    longest = timedelta(seconds=bounds(EnvironmentSettings, "build_timeout_seconds")["le"])

    assert longest < BUILD_DEADLINE


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("postgresql://taxiway:a@db/x", "postgresql://mlflow:b@db/x"),
        ("postgresql://db/x", "postgres://db:5432/x"),
        ("postgresql://DB/x", "postgresql+psycopg2://db/x"),
        ("postgresql://localhost/x", "postgresql://127.0.0.1/x"),
        ("postgresql:///x", "postgresql://[::1]/x"),
        ("postgresql://p@/x?host=/run/db", "postgresql://q@/x?host=/run/db&sslmode=disable"),
        ("postgresql://x@db", "postgresql://db/x"),
        ("sqlite:////srv/x.db", "sqlite:////srv/x.db"),
    ],
)
def test_one_database_for_both_is_refused(tmp_path: Path, ours: str, theirs: str) -> None:
    with pytest.raises(InvalidInput, match="name the same database") as refused:
        read(tmp_path, ours, theirs)
    assert ours not in f"{refused.value.message}{refused.value.hint}"


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("", ""),
        ("postgresql://db/x", ""),
        ("postgresql://db/x", "postgresql://db/y"),
        ("postgresql://db/x", "postgresql://db:5433/x"),
        ("postgresql://one/x", "postgresql://two/x"),
        ("postgresql:///x?host=/run/a", "postgresql:///x?host=/run/b"),
        ("postgresql://db/x", "postgresql://db/x?options=-csearch_path%3Dmlflow"),
    ],
)
def test_two_databases_are_taken(tmp_path: Path, ours: str, theirs: str) -> None:
    settings = read(tmp_path, ours, theirs)

    assert settings.database.url.get_secret_value() == ours


def test_what_is_no_url_is_named_and_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="is no URL") as refused:
        read(tmp_path, "postgresql://u:secret@db:port/x", "postgresql://db/x")
    assert "secret" not in f"{refused.value.message}{refused.value.hint}"


def test_a_name_is_read_as_it_is_written() -> None:
    assert database_place("postgresql://db/a%20b") == database_place("postgresql://db/?dbname=a b")


def read(directory: Path, ours: str, theirs: str) -> Settings:
    file = directory / "taxiway.toml"
    file.write_text(f'[database]\nurl = "{ours}"\n[tracking]\ndatabase_url = "{theirs}"\n')
    return read_settings(file)


def test_a_store_is_a_bucket_and_a_prefix() -> None:
    assert parse_store_url("s3://some-bucket/a/b/") == ("some-bucket", "a/b")
    assert parse_store_url("s3://some-bucket") == ("some-bucket", "")


@pytest.mark.parametrize(
    "production",
    [
        {"store_url": "http://bucket/secret"},
        {"store_url": "s3://"},
        {"store_url": "s3://key:secret@bucket/a"},
        {"store_url": "s3://bucket/a?secret=1"},
        {"store_url": "s3://bucket/../secret"},
        {"store_url": "s3://bucket", "store_endpoint": "https://key:secret@host"},
        {"store_url": "s3://bucket", "store_endpoint": "host-secret"},
        {"store_url": "s3://bucket", "store_secret_access_key": "secret"},
    ],
)
def test_a_store_that_cannot_be_meant_is_refused_and_no_secret_repeated(
    tmp_path: Path, production: dict[str, str]
) -> None:
    with pytest.raises(InvalidInput, match=r"production\.store_") as refused:
        read_settings(data_dir=tmp_path, production=production)
    assert "secret" not in refused.value.message.replace("secret_access_key", "")
    assert "secret" not in str(refused.value.hint)


def test_a_store_needs_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taxiway.settings.find_spec", lambda _name: None)
    with pytest.raises(InvalidInput, match="needs s3fs") as refused:
        read_settings(data_dir=tmp_path, production={"store_url": "s3://bucket"})
    assert "taxiway[s3]" in str(refused.value.hint)
    assert read_settings(data_dir=tmp_path).production.store_url == ""


def a_provider_of(**others: object) -> dict[str, object]:
    return {"issuer": "https://id.example.org", "client_id": "taxiway", "client_secret": "the secret", **others}


@pytest.mark.parametrize(
    ("people", "key"),
    [
        ({"passwords": False}, r"people\.passwords"),
        ({"provider": a_provider_of(issuer="http://id.example.org/secret")}, r"provider\.issuer"),
        ({"provider": a_provider_of(issuer="https://me:secret@id.example.org")}, r"provider\.issuer"),
        ({"provider": a_provider_of(issuer="https://id.example.org?secret=1")}, r"provider\.issuer"),
        ({"provider": a_provider_of(issuer="secret")}, r"provider\.issuer"),
        ({"provider": a_provider_of(scopes=["profile"])}, r"provider\.scopes"),
        ({"provider": a_provider_of(client_id="")}, r"provider\.client_id"),
        ({"provider": a_provider_of(groups={"team": {"role": "secret"}})}, r"provider\.groups\.team\.role"),
        ({"provider": a_provider_of(clientsecret="a secret")}, r"provider\.clientsecret"),
    ],
)
def test_a_provider_that_cannot_be_meant_is_refused_and_no_secret_repeated(
    tmp_path: Path, people: dict[str, object], key: str
) -> None:
    with pytest.raises(InvalidInput, match=key) as refused:
        read_settings(data_dir=tmp_path, people=people)
    said = f"{refused.value.message} {refused.value.hint}".replace("client_secret", "").replace("clientsecret", "")
    assert "secret" not in said


def test_a_provider_needs_its_libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taxiway.settings.find_spec", lambda _name: None)
    with pytest.raises(InvalidInput, match="needs authlib and joserfc") as refused:
        read_settings(data_dir=tmp_path, people={"provider": a_provider_of()})
    assert "taxiway[oidc]" in str(refused.value.hint)


def test_a_variable_brings_passwords_back_that_the_file_turns_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "taxiway.toml"
    file.write_text(
        f"""
data_dir = "{tmp_path}"
[people]
passwords = false
[people.provider]
issuer = "http://127.0.0.1:9000"
client_id = "taxiway"
client_secret = "the secret"
[people.provider.groups.fraud-team]
projects = ["fraud"]
"""
    )
    assert not read_settings(file).people.passwords
    monkeypatch.setenv("TAXIWAY_PEOPLE__PASSWORDS", "true")
    people = read_settings(file).people
    assert people.passwords
    assert people.provider is not None
    assert people.provider.groups["fraud-team"].projects == ("fraud",)
    assert "the secret" not in repr(people)
