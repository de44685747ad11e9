"""The settings of webhooks, a part of `Settings` (`jobs/settings.py`)."""

import re
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings

from jobs.hosts import HostList, named

DAY = 86_400


class HookSettings(BaseSettings):
    """Where webhooks may lead, how often they are tried, and what is kept of them."""

    webhook_hosts: HostList = "*"
    """Hosts that webhooks may lead to, separated by commas; `*.example.org` is every name below one, `*`
    every public host, `off` none."""
    webhook_http: bool = False
    """Whether webhooks may have the scheme `http`, which anybody on the way can read."""
    webhook_timeout: Annotated[float, Field(ge=0.1, le=120)] = 15.0
    """Most seconds for one try, from the look-up of the name to the status of the answer."""
    webhook_retries: str = "5,60,600,3600,18000,64000"
    """Seconds before each further try of an event, separated by commas: by default seven tries in a day."""
    webhook_connections: Annotated[int, Field(ge=1, le=1_000)] = 64
    """Most deliveries that one process sends at once; an eighth of them to the same host."""
    webhook_endpoints: Annotated[int, Field(ge=0, le=1_000)] = 16
    """Most endpoints of one owner."""
    webhook_log: Annotated[int, Field(ge=1, le=100_000)] = 1_000
    """Newest deliveries of one owner that are listed."""
    webhook_keep: Annotated[float, Field(ge=60, le=90 * DAY)] = 7.0 * DAY
    """Seconds for which a delivery that has ended can be read and sent again."""

    @field_validator("webhook_retries")
    @classmethod
    def _webhook_retries(cls, given: str) -> str:
        parts = given.split(",")
        seconds = [float(part) for part in parts if re.fullmatch(r"\s*\d{1,7}(\.\d{1,6})?\s*", part)]
        if len(seconds) != len(parts) or not 1 <= len(parts) <= 20 or max(seconds) > 7 * DAY:
            raise PydanticCustomError(
                "retries", "give 1 to 20 times in seconds, up to a week each, such as 5,60,600"
            )
        return given

    @property
    def hooked_hosts(self) -> frozenset[str]:
        """Hosts that webhooks may lead to; empty if there are none."""
        return named(self.webhook_hosts)

    @property
    def retry_delays(self) -> tuple[float, ...]:
        """Seconds before each further try."""
        return tuple(map(float, self.webhook_retries.split(",")))
