"""What a browser needs to check a chosen file before it is sent: formats by their first bytes, and limits.

The server checks everything again. `templates/static/media_checks.js` reads this.
"""

from typing import Any

from api.pages.input_fields import InputField
from jobs.media.formats import FORMATS, PREFIX, of_kind
from jobs.models import ModelSpec


def file_limits(spec: ModelSpec, field: InputField, most: int) -> dict[str, Any]:
    """The limits of the field's files, as JSON. `most`: the bytes that a form may have for all files."""
    limits = spec.limits
    return {
        "kind": field.kind,
        "each": min(limits.max_input_bytes, most),
        "all": most if field.several else min(limits.max_input_bytes, most),
        "pixels": limits.max_pixels,
        "seconds": limits.max_seconds,
        "prefix": PREFIX,
        "formats": [
            {
                "name": each.name,
                "kind": each.kind,
                "begins": [begin.hex() for begin in each.begins],
                "offset": each.offset,
                "opens": each.opens.hex(),
            }
            for each in FORMATS
        ],
        "supported": [each.name for each in of_kind(field.kind)],  # type: ignore[arg-type]
    }
