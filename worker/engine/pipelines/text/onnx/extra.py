"""What a model needs to be computed by ONNX Runtime. Importing this imports neither torch nor onnxruntime."""

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

from jobs.errors import ConfigurationError
from jobs.models import ModelSpec

PACKAGES = ("onnx", "onnxruntime")
"""The packages of the extra."""


def installed() -> bool:
    """Whether the extra is installed."""
    return all(find_spec(package) is not None for package in PACKAGES)


def installed_version() -> str:
    """Returns the version of ONNX Runtime; empty without the extra."""
    try:
        return version("onnxruntime") if installed() else ""
    except PackageNotFoundError:
        return ""


def can_race(spec: ModelSpec) -> bool:
    """Whether ONNX Runtime may be tried for a model that does not ask for it."""
    fits = spec.definition.onnx and spec.dtype in ("float32", "auto") and not spec.trust_remote_code
    return fits and spec.device in (None, "cpu") and installed()


def check(spec: ModelSpec, device: Any) -> None:
    """Checks what is known before the export. Raises ConfigurationError."""
    if not installed():
        raise ConfigurationError(
            f'model {spec.name!r}: backend = "onnxruntime" needs the extra onnx: '
            "pip install 'batchline[onnx]'"
        )
    if str(device) != "cpu":
        raise refusal(spec, f"it is used on the CPU only, not on {device}")
    if spec.trust_remote_code:
        raise refusal(spec, "code that comes with a model is not exported")


def refusal(spec: ModelSpec, reason: str) -> ConfigurationError:
    """Returns the error for a model that ONNX Runtime cannot run."""
    return ConfigurationError(f"model {spec.name!r} cannot be run by onnxruntime: {reason}")
