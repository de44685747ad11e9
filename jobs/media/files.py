"""Files of outputs: their content types, names and addresses.

A file's address is `/v1/jobs/<job id>/files/<index of the input>-<number>.<extension>`.
"""

EXTENSIONS = {"image/png": "png", "image/jpeg": "jpg", "audio/wav": "wav", "application/octet-stream": "bin"}
"""Content types that a file may have -> the end of its name."""

_CONTENT_TYPES = {extension: content_type for content_type, extension in EXTENSIONS.items()}


def link_start(job_id: str, index: int) -> str:
    """Returns the start of the addresses of the files of one output."""
    return f"/v1/jobs/{job_id}/files/{index}-"


def content_type(name: str) -> str:
    """Returns the content type of a file, from its name."""
    return _CONTENT_TYPES.get(name.rpartition(".")[2], "application/octet-stream")
