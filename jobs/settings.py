"""Every setting, once: its default, its unit and its reason. Read from `BATCHLINE_*` environment variables.

What concerns a single model is in `models.toml` (`jobs/models.py`), not here.
"""

import difflib
import os
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from jobs.errors import ConfigurationError

MIB = 1024 * 1024

PREFIX = "BATCHLINE_"

CHECKED = f"{PREFIX}SETTINGS_CHECKED"
"""Set for the programs that this one starts: what is wrong in the environment has been said."""

NO_SETTINGS = frozenset({CHECKED, f"{PREFIX}STARTED_AS", f"{PREFIX}CRASH_AT"})
"""Variables of our own that are for our processes and tests, not for an operator."""

_KUBERNETES = re.compile(r"_SERVICE_(HOST|PORT(_\w+)?)=|_PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?=")
"""What a pod is given for each Service of its namespace, also for one named `batchline-api`."""


class Settings(BaseSettings):
    """The process's settings; frozen, made once at start and handed down."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, allow_inf_nan=False)

    # Where things are
    redis_url: str = "redis://127.0.0.1:6379/0"
    """The Redis or Valkey server of the queue, or its sentinels. `make run` starts its own when unset."""
    models_file: Path = Path("models.toml")
    """The models that are served."""
    host: str = "127.0.0.1"
    """The address that the API listens on."""
    port: Annotated[int, Field(ge=1, le=65_535)] = 8000
    """The port that the API listens on."""
    allowed_hosts: str = "auto"
    """Host names that the API answers to, separated by commas; `*` is all of them."""
    cors_origins: str | None = None
    """Origins whose pages may call the API, separated by commas; `*` is all of them. By default none may."""
    api_processes: Annotated[int, Field(ge=1, le=64)] = 1
    """Processes that share the API's port; one saturates about one core."""
    data_dir: Path = Path(".data")
    """Where `batchline serve` keeps its embedded server's append-only file between runs."""
    cache_dir: Path | None = None
    """Where engines remember what they measured of their models; by default `batchline` in the user's cache
    folder (`XDG_CACHE_HOME`, or `~/.cache`). One that cannot be written costs a few seconds at each start."""

    # Durability
    durable_submit: Literal["memory", "disk", "replica"] = "memory"
    """When a submit is answered: once Redis has the job in memory, and in an append-only file that is synced
    each second where it keeps one; `disk`: once it is synced; `replica`: once a replica has it too."""

    # Admission: beyond these a submit is answered 503 with Retry-After
    max_queued_jobs: Annotated[int, Field(ge=1)] = 10_000
    """Jobs accepted and not finished, per model."""
    max_queued_bytes: Annotated[int, Field(ge=1)] = 256 * MIB
    """Bytes of their payloads, per model."""
    max_request_bytes: Annotated[int, Field(ge=1)] = 8 * MIB
    """Bytes of one request's body, decompressed; more is answered 413."""
    memory_budget: Annotated[int, Field(ge=1)] = 512 * MIB
    """Bytes of bodies and answers that the API holds at once, over all its processes; beyond it 503."""

    # Lifetimes
    result_ttl: Annotated[float, Field(gt=0)] = 3600.0
    """Seconds that a finished job and its results can be read."""
    idempotency_ttl: Annotated[float, Field(gt=0)] = 86_400.0
    """Seconds that an Idempotency-Key is remembered."""
    recent_jobs: Annotated[int, Field(ge=1)] = 10_000
    """Newest jobs that the listing remembers, over all models."""

    max_result_bytes: Annotated[int, Field(ge=1)] = 64 * MIB
    """Bytes of one job's results; a job with more fails, for Redis holds them until their lifetime ends."""

    # Waiting
    max_wait: Annotated[float, Field(gt=0)] = 60.0
    """Seconds that one request may wait for its job; longer waits are cut to this."""
    inline_bytes: Annotated[int, Field(ge=0)] = 16_384
    """Results up to this many bytes travel with the notification, so that no waiter reads again."""

    # Leases: a dead worker's jobs run again within lease + one sweep
    lease: Annotated[float, Field(ge=1)] = 8.0
    """Seconds that a worker's right to a job lasts unless renewed."""
    renew_every: Annotated[float, Field(gt=0)] = 2.0
    """Seconds between renewals, a third of the lease at most: two may fail before it runs out."""
    max_attempts: Annotated[int, Field(ge=1)] = 5
    """Starts of a job before it fails; one that kills workers must not come back for ever."""

    # Scheduling
    head_start: Annotated[float, Field(ge=0, le=3600)] = 30.0
    """Seconds by which a priority overtakes the next lower one."""
    window_items: Annotated[int, Field(ge=1)] = 256
    """Items that a worker claims ahead to find companions of like length in."""
    window_bytes: Annotated[int, Field(ge=1)] = 16 * MIB
    """Bytes of payloads that a worker holds; a job beyond that is claimed when the window is empty."""

    # Stopping
    shutdown_grace: Annotated[float, Field(gt=0)] = 30.0
    """Seconds that a worker may take to finish its running batch after SIGTERM."""

    # Logs
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Lines below this level are not written."""
    log_format: Literal["auto", "console", "json"] = "auto"
    """`auto` is coloured on a terminal and JSON elsewhere."""

    log_slow: Annotated[float, Field(gt=0)] = 30.0
    """Seconds from a job's acceptance to its end from which on the log tells of it."""

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


@lru_cache(maxsize=1)
def load_settings() -> Settings:
    """The settings from the environment. Raises ConfigurationError, in one sentence."""
    try:
        return Settings()
    except ValidationError as error:
        fault = error.errors()[0]
        if not fault["loc"]:  # its input would be all settings, and a password is one of them
            raise ConfigurationError(str(fault["ctx"]["error"])) from None
        name = f"BATCHLINE_{fault['loc'][0]}".upper()
        raise ConfigurationError(f"{name}: {fault['msg']}, not {fault['input']!r}") from None


def warn_of_unknown(warn: Callable[[str], object]) -> None:
    """Passes on a sentence for each `BATCHLINE_*` variable that is no setting.

    Once for this program and those that it starts. It is no error: the variable may be another program's.
    """
    if os.environ.get(CHECKED) != "1":
        for sentence in unknown_variables(os.environ):
            warn(sentence)
        os.environ[CHECKED] = "1"


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """A sentence for each, with the setting that may be meant. No values, which may be secret."""
    known = [name.upper() for name in Settings.model_fields]
    sentences = []
    for variable in sorted(environment):
        name = variable.upper().removeprefix(PREFIX)
        if name == variable.upper() or name in known or PREFIX + name in NO_SETTINGS:
            continue
        if _KUBERNETES.search(f"{name}="):
            continue
        meant = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {PREFIX}{meant[0]}?" if meant else "the settings are listed in README.md"
        sentences.append(f"{variable} is not a setting of Batchline; {hint}")
    return sentences
