"""Every setting with its default, unit and reason. Read from `BATCHLINE_*` environment variables.

Settings of a single model are in `models.toml` (`jobs/models.py`).
"""

import ipaddress
import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import SettingsConfigDict

from jobs.bulk_settings import BulkSettings
from jobs.errors import ConfigurationError
from jobs.hook_settings import HookSettings
from jobs.hosts import HostList, named
from jobs.process.redaction import SECRET

MIB = 1024 * 1024

MONTH = 30 * 86_400
"""Seconds, the longest lifetime that a request may have (`LONGEST` in conclude.lua)."""

PREFIX = "BATCHLINE_"

MALFORMED_KEY = "the secret must be bl_ and 43 letters, digits, - or _; `batchline keys secret` prints one"


class Settings(BulkSettings, HookSettings):
    """The process's settings: frozen, created once at start and passed down."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, allow_inf_nan=False)

    # Addresses and folders
    redis_url: str = "redis://127.0.0.1:6379/0"
    """The Redis or Valkey server of the queue (`redis://`), its sentinels (`redis+sentinel://`) or a cluster
    (`redis+cluster://`). `make run` starts its own when unset."""
    models_file: Path = Path("models.toml")
    """The models that are served."""
    host: str = "127.0.0.1"
    """The address that the API listens on."""
    published_host: str | None = None
    """The address at which a container's port is published; by default `host`. The warning that everybody may
    use a server without keys depends on it."""
    port: Annotated[int, Field(ge=1, le=65_535)] = 8000
    """The port that the API listens on."""
    allowed_hosts: str = "auto"
    """Host names that the API answers to, separated by commas; `*` allows all."""
    cors_origins: str | None = None
    """Origins whose pages may call the API, separated by commas; `*` allows all. By default none."""
    tls_cert: Path | None = None
    """PEM file with the API's certificate and its chain. With it the API serves HTTPS, and no plain HTTP. A
    changed file is loaded again."""
    tls_key: Path | None = None
    """PEM file with the key of the certificate, not encrypted."""
    api_processes: Annotated[int, Field(ge=1, le=64)] = 1
    """Processes that share the API's port; each uses about one core under load."""
    data_dir: Path = Path(".data")
    """Where `batchline serve` keeps the append-only file of its embedded server, and where files are stored
    unless `storage_url` says otherwise."""
    backend: Literal["auto", "torch"] = "auto"
    """`torch`: a model with `backend = "auto"`, the default, runs with torch, without a race at its first
    start."""
    cache_dir: Path | None = None
    """Where engines store measurements of their models; by default `batchline` in the user's cache folder
    (`XDG_CACHE_HOME`, or `~/.cache`). If it is not writable, each start takes a few seconds longer."""

    # Access
    auth: Literal["off", "keys"] = "off"
    """`keys`: every request needs an API key, except health and the sign-in page."""
    admin_key: SecretStr | None = None
    """The secret of an admin key that exists without Redis, for the first steps; `bl_` and 43 characters."""
    admin_key_file: Path | None = None
    """A file with such a secret, for example a mounted one. It is read again when it changes."""
    key_cache: Annotated[float, Field(ge=0)] = 300.0
    """Seconds for which known keys are accepted while Redis cannot be reached. Then requests get 503."""
    max_failed_attempts: Annotated[int, Field(ge=1)] = 60
    """Wrong keys that one address may send in a minute to one process; further ones are answered 429."""
    trusted_proxies: str | None = None
    """Addresses and networks of proxies whose forwarded headers are believed, separated by commas."""
    owner_header: str | None = None
    """With `auth=off`: the header in which a trusted proxy names the owner, such as `x-forwarded-user`."""

    # Durability
    durable_submit: Literal["memory", "disk", "replica"] = "memory"
    """When a submit is answered. `memory`: Redis has the job in memory (and syncs its append-only file, if it
    has one, each second). `disk`: the file is synced. `replica`: a replica has the job too."""

    # Links to media
    fetch_links: HostList = "off"
    """Hosts whose links to media are fetched, separated by commas; `*.example.org` is every name below one,
    `*` every public host."""
    fetch_timeout: Annotated[float, Field(gt=0, le=300)] = 10.0
    """Most seconds for all links of one request."""
    outbound_networks: str | None = None
    """Addresses and networks that are not public but may be reached for a client, separated by commas."""

    # Admission: beyond these a submit is answered 503 with Retry-After
    max_queued_jobs: Annotated[int, Field(ge=1)] = 10_000
    """Most unfinished jobs per model."""
    max_queued_bytes: Annotated[int, Field(ge=1)] = 256 * MIB
    """Most bytes of their payloads and of the media beside them, per model."""
    max_queued_inputs: Annotated[int, Field(ge=1)] = 1_000_000
    """Most inputs of unfinished jobs, per model: jobs of many small inputs take long, but few bytes."""
    max_request_bytes: Annotated[int, Field(ge=1)] = 8 * MIB
    """Most bytes of one request's decompressed body; a larger one is answered 413."""
    memory_budget: Annotated[int, Field(ge=1)] = 512 * MIB
    """Most bytes of bodies and answers that all API processes hold at once; beyond it requests get 503."""

    # Shards
    shards: Annotated[int, Field(ge=1, le=256)] = 1
    """Parts of the queue, which a cluster spreads over its servers. The number can only grow: the queue keeps
    the largest one that a process was started with, and all processes learn it."""

    # Lifetimes
    result_ttl: Annotated[float, Field(gt=0)] = 3600.0
    """Seconds for which a finished job and its results can be read, unless its request says otherwise."""
    max_result_ttl: Annotated[float, Field(ge=1, le=MONTH)] = 86_400.0
    """Most seconds that a request may ask for, up to 30 days. If it is not set, at least `result_ttl`."""
    idempotency_ttl: Annotated[float, Field(gt=0)] = 86_400.0
    """Seconds for which an Idempotency-Key is kept."""
    recent_jobs: Annotated[int, Field(ge=1)] = 10_000
    """Number of newest jobs in the listing, over all models; of each shard."""

    max_result_bytes: Annotated[int, Field(ge=1)] = 64 * MIB
    """Most bytes of one job's results; a job with more fails, because Redis keeps them for their lifetime."""

    # Waiting
    max_wait: Annotated[float, Field(gt=0)] = 60.0
    """Most seconds that one request may wait for its job; longer waits are shortened to this."""
    inline_bytes: Annotated[int, Field(ge=0)] = 16_384
    """Results up to this many bytes are sent in the notification, so that waiters need no further read."""

    # Leases: the jobs of a dead worker run again after at most one lease plus one sweep
    lease: Annotated[float, Field(ge=1)] = 8.0
    """Seconds for which a worker owns a job unless it renews the lease."""
    renew_every: Annotated[float, Field(gt=0)] = 2.0
    """Seconds between renewals, at most a third of the lease: two renewals may fail before it ends."""
    max_attempts: Annotated[int, Field(ge=1)] = 5
    """Starts of a job before it fails; a job that kills workers must not run again forever."""

    # Scheduling
    head_start: Annotated[float, Field(ge=0, le=3600)] = 30.0
    """Seconds by which a priority overtakes the next lower one."""
    window_items: Annotated[int, Field(ge=1)] = 256
    """Items that a worker claims ahead, to find items of similar length for a batch."""
    window_bytes: Annotated[int, Field(ge=1)] = 16 * MIB
    """Bytes of payloads and media that a worker holds; a larger job is claimed when the window is empty."""

    # Stopping
    shutdown_grace: Annotated[float, Field(gt=0)] = 30.0
    """Seconds that a worker has to finish its running batch after SIGTERM."""

    # Metrics
    metrics_owners: Annotated[int, Field(ge=0, le=10_000)] = 100
    """Most owners with counters of their own in `/metrics`; those of all others are added up. 0: none."""

    # Logs
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Lines below this level are not written."""
    log_format: Literal["auto", "console", "json"] = "auto"
    """`auto`: coloured on a terminal, JSON elsewhere."""

    log_slow: Annotated[float, Field(gt=0)] = 30.0
    """Jobs that take at least this many seconds, from acceptance to end, are logged."""

    @field_validator(
        *("admin_key", "admin_key_file", "trusted_proxies", "owner_header", "outbound_networks"),
        mode="before",
    )
    @classmethod
    def _unset_if_empty(cls, given: object) -> object:
        return None if isinstance(given, str) and not given.strip() else given

    @field_validator("admin_key")
    @classmethod
    def _secret(cls, given: SecretStr | None) -> SecretStr | None:
        if given is not None and not SECRET.fullmatch(given.get_secret_value()):
            raise PydanticCustomError("secret", MALFORMED_KEY)
        return given

    @field_validator("trusted_proxies", "outbound_networks")
    @classmethod
    def _networks(cls, given: str | None) -> str | None:
        for network in (given or "").split(","):
            try:
                ipaddress.ip_network(network.strip() or "::", strict=False)
            except ValueError:
                raise PydanticCustomError(
                    "network", "give addresses and networks such as 10.0.0.7,10.1.0.0/16"
                ) from None
        return given

    @field_validator("owner_header")
    @classmethod
    def _header(cls, given: str | None) -> str | None:
        if given is not None and not re.fullmatch(r"[A-Za-z0-9-]+", given):
            raise PydanticCustomError("header", "give the name of a header, such as x-forwarded-user")
        return given

    @model_validator(mode="after")
    def _header_from_a_proxy(self) -> "Settings":
        if self.owner_header and self.auth == "keys":
            raise ValueError("BATCHLINE_OWNER_HEADER cannot be used with BATCHLINE_AUTH=keys")
        if self.owner_header and not self.trusted_proxies:
            raise ValueError("BATCHLINE_OWNER_HEADER needs BATCHLINE_TRUSTED_PROXIES, which may send it")
        return self

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, given: str | None) -> str | None:
        for origin in (given or "").split(","):
            if not re.fullmatch(r"\s*(\*|[a-z][a-z0-9+.-]*://[^/?#@*\s]+)?\s*", origin, re.IGNORECASE):
                raise PydanticCustomError(
                    "origin", "give origins such as https://app.example.org, without a path, or *"
                )
        return given

    @model_validator(mode="after")
    def _renewed_in_time(self) -> "Settings":
        if self.renew_every > self.lease / 3:
            raise ValueError("BATCHLINE_RENEW_EVERY must be at most a third of BATCHLINE_LEASE")
        return self

    @model_validator(mode="after")
    def _default_lifetime_allowed(self) -> "Settings":
        if "max_result_ttl" in self.model_fields_set and self.result_ttl > self.max_result_ttl:
            raise ValueError("BATCHLINE_RESULT_TTL must be at most BATCHLINE_MAX_RESULT_TTL")
        return self

    @model_validator(mode="after")
    def _certificate_with_key(self) -> "Settings":
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("BATCHLINE_TLS_CERT and BATCHLINE_TLS_KEY must be set together")
        return self

    @property
    def scheme(self) -> str:
        """The scheme of the API's addresses."""
        return "https" if self.tls_cert else "http"

    @property
    def linked_hosts(self) -> frozenset[str]:
        """Hosts whose links are fetched; empty if none are."""
        return named(self.fetch_links)

    @property
    def longest_result_ttl(self) -> float:
        """Most seconds that a request may ask for. An unset `max_result_ttl` is no less than `result_ttl`."""
        return min(max(self.max_result_ttl, self.result_ttl), MONTH)


@lru_cache(maxsize=1)
def load_settings() -> Settings:
    """Returns the settings from the environment. Raises ConfigurationError with one sentence."""
    try:
        return Settings()
    except ValidationError as error:
        fault = error.errors()[0]
        if not fault["loc"]:  # do not print the input: it is all settings, including a password
            raise ConfigurationError(str(fault["ctx"]["error"])) from None
        name = f"BATCHLINE_{fault['loc'][0]}".upper()
        given = "" if fault["loc"][0] == "admin_key" else f", not {fault['input']!r}"
        raise ConfigurationError(f"{name}: {fault['msg']}{given}") from None
