"""All settings: one frozen object from one TOML file and ``TAXIWAY_SECTION__KEY`` variables, read once.

Read by ``cli`` and ``app`` only; everything else receives values. ``docs/reference/settings.md`` lists every key,
and a test compares the two.
"""

from __future__ import annotations

import difflib
import os
import re
import tempfile
from collections.abc import Mapping
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from taxiway.domain.errors import InvalidInput

Port = Annotated[int, Field(ge=1, le=65535)]
DEFAULT_DATA_DIR = Path("~/.local/share/taxiway")
POSTGRESQL_PORT = 5432
LOOPBACK = ("127.0.0.1", "::1")


class Section(BaseModel):
    """A table of the settings file."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ServerSettings(Section):
    """Where people and programs reach Taxiway."""

    host: str = Field("127.0.0.1", description="Address that the gateway listens on.")
    port: Port = Field(8080, description="Port that the gateway listens on.")
    metrics_port: int = Field(0, ge=0, le=65535, description="Loopback port for Prometheus; 0: the port above plus 1.")
    allowed_hosts: tuple[str, ...] = Field(
        ("localhost", "127.0.0.1", "[::1]"), description="Host names that the control API answers to."
    )
    public_url: str = Field(
        "", description="URL that people use, when a proxy stands before the gateway; '': http://<host>:<port>."
    )


class DatabaseSettings(Section):
    """What Taxiway remembers."""

    url: SecretStr = Field(
        SecretStr(""),
        description="'' for SQLite in the data directory, or postgresql://user:password@host/name.",
    )


class TrackingSettings(Section):
    """MLflow, behind Taxiway."""

    database_url: SecretStr = Field(
        SecretStr(""), description="'' for SQLite in the data directory, or postgresql://… for MLflow's own tables."
    )
    workers: int = Field(1, ge=1, le=16, description="MLflow server processes.")
    upload_limit_gib: int = Field(5, ge=1, description="Largest artifact that is accepted, GiB.")


class EnvironmentSettings(Section):
    """How model environments are built."""

    index_url: str = Field("", description="Package index instead of the host's own uv configuration.")
    wheel_store: str = Field("", description="Directory of wheels that is looked at first.")
    cache_dir: str = Field(
        "",
        description="Downloaded and compiled packages, linked into environments; '': in the data directory. Several "
        "Taxiways of one user may share one, best on the file system of the data directory.",
    )
    is_offline: bool = Field(False, description="Use the wheel store and the cache only, never the network.")
    allow_source_builds: bool = Field(
        False, description="Build packages that have no wheel; that runs their code outside a pod."
    )
    build_timeout_seconds: int = Field(900, ge=10, le=900, description="How long one build may take.")
    concurrent_builds: int = Field(2, ge=1, le=16, description="Builds at the same time.")


class PodSettings(Section):
    """How scoring servers run."""

    isolation: Literal["strongest", "sandbox", "landlock", "plain"] = Field(
        "strongest", description="Level that pods must have; anything but 'strongest' refuses a host without it."
    )
    memory: str = Field("1Gi", description="Memory of a pod where nothing else is asked.")
    cpus: str = Field("1", description="CPUs of a pod where nothing else is asked.")
    start_deadline_seconds: int = Field(600, ge=5, le=3600, description="How long a pod may take to become ready.")
    predict_timeout_seconds: float = Field(30.0, ge=1, le=300, description="How long one prediction may take.")
    body_limit_mib: int = Field(16, ge=1, le=1024, description="Largest request body of an endpoint, MiB.")
    log_mib: int = Field(20, ge=1, description="Kept log of one pod, MiB.")


class ProductionSettings(Section):
    """What must hold before a model goes to production."""

    file_formats: Literal["off", "warn", "enforce"] = Field(
        "warn", description="What becomes of models whose files can run code when they are loaded, such as pickles."
    )
    allow_plain_isolation: bool = Field(
        False, description="Promote also where a pod of staging could read production's files."
    )
    store_url: str = Field(
        "", description="Where production's snapshots and bundles are kept: '' for files, or s3://bucket/prefix."
    )
    store_endpoint: str = Field("", description="URL of an S3-compatible store; '': AWS, or AWS_ENDPOINT_URL.")
    store_access_key_id: SecretStr = Field(
        SecretStr(""), description="'': found as AWS's own tools find credentials: variables, files, roles."
    )
    store_secret_access_key: SecretStr = Field(SecretStr(""), description="Belongs to the access key's id.")
    scrub_hours: float = Field(
        168, ge=0.01, description="Hours from the end of a scrub, which reads every kept snapshot again, to the next."
    )
    needs_approval: bool = Field(
        False, description="Let promotions wait until an administrator who did not ask for them approves."
    )


class MonitoringSettings(Section):
    """What is kept of what was measured, and what it costs."""

    cost_per_pod_hour: float = Field(0.0, ge=0, description="What an hour of one pod costs, for usage.")

    history_days: int = Field(8, ge=1, le=90, description="How long graphs reach back, days.")


class LimitSettings(Section):
    """What one person may use."""

    deployments_per_user: int = Field(20, ge=1, description="Deployments of one data scientist.")
    requests_per_second: float = Field(20.0, gt=0, description="Requests a second and person; at once, 5 s of them.")


class GroupSettings(Section):
    """What membership of one of the provider's groups gives."""

    role: Literal["data-scientist", "administrator"] = Field("data-scientist", description="The role.")
    projects: tuple[str, ...] = Field((), description="Projects that its members are members of.")


class ProviderSettings(Section):
    """An OpenID Connect provider, and what Taxiway is to it."""

    name: str = Field("your organisation", min_length=1, max_length=60, description="What the sign-in page calls it.")
    issuer: str = Field(description="Its issuer URL, exactly as it writes it in its tokens.")
    client_id: str = Field(min_length=1, description="Taxiway's id there.")
    client_secret: SecretStr = Field(description="Taxiway's secret there.")
    scopes: tuple[str, ...] = Field(("openid", "profile", "email"), description="What is asked for.")
    groups_claim: str = Field("groups", min_length=1, description="Claim of the ID token that lists groups.")
    groups: dict[str, GroupSettings] = Field({}, description="Group -> what it gives. In no group: not let in.")


class PeopleSettings(Section):
    """How people sign in."""

    provider: ProviderSettings | None = Field(None, description="An identity provider; its keys are below.")
    passwords: bool = Field(True, description="Whether passwords count too; false needs a provider.")


class Settings(BaseSettings):
    """All settings. Directories are made by whoever needs them."""

    model_config = SettingsConfigDict(
        env_prefix="TAXIWAY_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    data_dir: Path = Field(DEFAULT_DATA_DIR, description="Everything that Taxiway keeps.")
    run_dir: Path | None = Field(None, description="Sockets; None: a short directory below the system's TMPDIR.")
    server: ServerSettings = ServerSettings()
    database: DatabaseSettings = DatabaseSettings()
    tracking: TrackingSettings = TrackingSettings()
    environments: EnvironmentSettings = EnvironmentSettings()
    pods: PodSettings = PodSettings()
    production: ProductionSettings = ProductionSettings()
    monitoring: MonitoringSettings = MonitoringSettings()
    limits: LimitSettings = LimitSettings()
    people: PeopleSettings = PeopleSettings()

    @property
    def data(self) -> Path:
        """The data directory, absolute."""
        return self.data_dir.expanduser().absolute()

    @property
    def run(self) -> Path:
        """The directory for sockets; short, since a Unix socket's path has at most 107 bytes."""
        if self.run_dir is not None:
            return self.run_dir.expanduser().absolute()
        digest = sha256(str(self.data).encode()).hexdigest()[:10]
        return Path(tempfile.gettempdir()) / f"taxiway-{os.getuid()}-{digest}"

    @property
    def metrics_port(self) -> int:
        """The port of Prometheus' metrics."""
        return self.server.metrics_port or self.server.port + 1

    @property
    def public_url(self) -> str:
        """The URL that people use, without a slash at its end."""
        if self.server.public_url:
            return self.server.public_url.rstrip("/")
        host = "localhost" if self.server.host in ("127.0.0.1", "0.0.0.0", "::") else self.server.host  # noqa: S104
        return f"http://{host}:{self.server.port}"

    @property
    def database_url(self) -> str:
        """The database's URL."""
        return self.database.url.get_secret_value() or f"sqlite:///{self.data / 'taxiway.db'}"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take arguments first, then variables, then the file; nothing from .env or secret files."""
        del dotenv_settings, file_secret_settings
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, _file)


_file: Path | None = None


def read_settings(file: Path | None = None, **overrides: Any) -> Settings:
    """Read the settings once.

    ``file`` None: ``taxiway.toml`` in the data directory, where there is one. Raises InvalidInput that names the
    key, and the nearest known one for an unknown key; never the value.
    """
    global _file
    data = overrides.get("data_dir") or os.environ.get("TAXIWAY_DATA_DIR") or DEFAULT_DATA_DIR
    chosen = file or Path(data).expanduser() / "taxiway.toml"
    if file is not None and not file.exists():
        raise InvalidInput(f"There is no settings file {file}.", hint="Check the path.")
    _file = chosen if chosen.exists() else None
    _refuse_unknown_variables(os.environ)
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        raise _explain(error) from None
    except ValueError as error:
        raise InvalidInput(f"{chosen} is not valid TOML.", hint=str(error)) from None
    _refuse_one_database(settings)
    _refuse_store(settings.production)
    _refuse_people(settings.people)
    return settings


def _refuse_people(people: PeopleSettings) -> None:
    """Raise InvalidInput for ways to sign in that cannot be meant; never repeats a URL."""
    provider = people.provider
    if provider is None:
        if not people.passwords:
            raise InvalidInput(
                "people.passwords is false and there is no people.provider: nobody could sign in.",
                hint="Set up the provider first.",
            )
        return
    parts = urlsplit(provider.issuer)
    is_loopback = parts.hostname in (*LOOPBACK, "localhost")
    is_fine = parts.scheme == "https" or (parts.scheme == "http" and is_loopback)
    if not is_fine or not parts.hostname or "@" in parts.netloc or parts.query or parts.fragment:
        raise InvalidInput(
            "people.provider.issuer is no https:// URL.",
            hint="Write it as the provider does, for example https://id.example.org/realms/main.",
        )
    if "openid" not in provider.scopes:
        raise InvalidInput("people.provider.scopes lacks openid.", hint='Write scopes = ["openid", "profile"].')
    if find_spec("authlib") is None or find_spec("joserfc") is None:
        raise InvalidInput(
            "people.provider needs authlib and joserfc, which are not installed.",
            hint="Install them with Taxiway: pip install 'taxiway[oidc]'.",
        )


def _refuse_store(production: ProductionSettings) -> None:
    """Raise InvalidInput for an object store that cannot be meant; never repeats a URL."""
    if not production.store_url:
        return
    parse_store_url(production.store_url)
    endpoint = urlsplit(production.store_endpoint)
    if production.store_endpoint and (endpoint.scheme not in ("http", "https") or "@" in endpoint.netloc):
        raise InvalidInput(
            "production.store_endpoint is no http:// or https:// URL.",
            hint="Write it as https://minio.example.com; credentials are settings of their own.",
        )
    key, secret = production.store_access_key_id, production.store_secret_access_key
    if bool(key.get_secret_value()) != bool(secret.get_secret_value()):
        raise InvalidInput(
            "One of production.store_access_key_id and production.store_secret_access_key is missing.",
            hint="Set both, or neither: then credentials are found as AWS's own tools find theirs.",
        )
    if find_spec("s3fs") is None:
        raise InvalidInput(
            "production.store_url needs s3fs, which is not installed.",
            hint="Install it with Taxiway: pip install 'taxiway[s3]'.",
        )


def parse_store_url(url: str) -> tuple[str, str]:
    """Return bucket and prefix of ``s3://bucket/prefix``. Raises InvalidInput; never repeats the URL."""
    parts = urlsplit(url)
    prefix = parts.path.strip("/")
    is_plain = re.fullmatch(r"[A-Za-z0-9._/-]*", prefix) and "//" not in prefix and ".." not in prefix
    is_bucket = parts.scheme == "s3" and re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", parts.netloc)
    if not is_bucket or not is_plain or parts.query or parts.fragment:
        raise InvalidInput(
            "production.store_url is no s3://bucket/prefix.",
            hint="For example s3://taxiway-production/models; credentials are settings of their own.",
        )
    return parts.netloc, prefix


def _refuse_one_database(settings: Settings) -> None:
    """Raise InvalidInput when Taxiway and MLflow would write their tables into one database.

    Both call the table that says which migrations ran ``alembic_version``.
    """
    ours, theirs = settings.database.url.get_secret_value(), settings.tracking.database_url.get_secret_value()
    try:
        is_one = bool(ours and theirs) and database_place(ours) == database_place(theirs)
    except ValueError:
        raise InvalidInput(
            "The setting database.url or tracking.database_url is no URL.",
            hint="Write it as postgresql://user:password@host/name.",
        ) from None
    if is_one:
        raise InvalidInput(
            "The settings database.url and tracking.database_url name the same database.",
            hint="Give MLflow a database of its own: `createdb mlflow`.",
        )


def database_place(url: str) -> tuple[str, ...]:
    """Return what tells one database from another, however its URL is spelled: not who connects, nor by what driver.

    Raises ValueError for what is no URL.
    """
    parts = urlsplit(url)
    if not parts.scheme.startswith("postgres"):
        return (parts.scheme.partition("+")[0], unquote(parts.path))
    asked = dict(parse_qsl(parts.query))
    host = asked.get("host") or parts.hostname or "localhost"
    port = asked.get("port") or str(parts.port or POSTGRESQL_PORT)
    name = unquote(parts.path.strip("/")) or asked.get("dbname") or unquote(parts.username or "")
    # A search path of its own puts the tables into another schema.
    return ("postgresql", "localhost" if host in LOOPBACK else host, port, name, asked.get("options", ""))


OTHER_VARIABLES = frozenset(
    {
        "TAXIWAY_URL", "TAXIWAY_TOKEN", "TAXIWAY_PROJECT", "TAXIWAY_PROFILE", "TAXIWAY_ACCESS_TOKEN",
        "TAXIWAY_FAILPOINTS", "TAXIWAY_TESTING",
    }
)  # fmt: skip
"""Variables that the client or the fault tests read; they are no settings."""


def _refuse_unknown_variables(variables: Mapping[str, str]) -> None:
    known = {f"TAXIWAY_{key.replace('.', '__').upper()}" for key in known_keys() | provider_keys()}
    for name in variables:
        if name.startswith("TAXIWAY_") and name not in known | OTHER_VARIABLES:
            near = difflib.get_close_matches(name, known, n=1)
            raise InvalidInput(
                f"The environment variable {name} is no setting.",
                hint=f"Did you mean {near[0]}?" if near else "See docs/reference/settings.md.",
            )


def known_keys() -> dict[str, str]:
    """Return every key (``section.key``) with its description."""
    keys: dict[str, str] = {}
    for name, field in Settings.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, Section):
            for inner, inner_field in annotation.model_fields.items():
                keys[f"{name}.{inner}"] = inner_field.description or ""
        else:
            keys[name] = field.description or ""
    return keys


def provider_keys() -> dict[str, str]:
    """Return the keys within ``people.provider`` with their descriptions."""
    return {f"people.provider.{key}": each.description or "" for key, each in ProviderSettings.model_fields.items()}


def _explain(error: ValidationError) -> InvalidInput:
    first = error.errors(include_url=False, include_input=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key, known_keys(), n=1)
        return InvalidInput(
            f"Unknown setting '{key}'.",
            hint=f"Did you mean '{near[0]}'?" if near else "See docs/reference/settings.md.",
        )
    return InvalidInput(f"Setting '{key}': {first['msg']}.", hint="See docs/reference/settings.md.")
