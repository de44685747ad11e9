"""Where objects are stored, as BATCHLINE_STORAGE_URL says: a folder or a bucket."""

from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

from obstore.exceptions import BaseError
from obstore.store import ObjectStore, from_url

from bulk.storage.folder import Folder
from jobs.errors import ConfigurationError
from jobs.settings import Settings

SCHEMES = ("s3", "s3a", "gs", "az", "azure", "abfs", "abfss")

INVALID = (
    "BATCHLINE_STORAGE_URL must have the form s3://bucket/prefix, gs://bucket/prefix,"
    " az://account/container/prefix or file:///folder"
)

RETRIES = 3
GIVE_UP = timedelta(seconds=10)
"""After that a request is answered 503. obstore's own default is three minutes."""


def folder_of(settings: Settings) -> Folder | None:
    """Returns the folder; None for a bucket. Raises ConfigurationError."""
    if settings.storage_url is None:
        return Folder(settings.data_dir.expanduser() / "files")
    url = urlsplit(settings.storage_url)
    if url.scheme in SCHEMES and url.netloc:
        return None
    if url.scheme != "file" or url.netloc or not url.path.strip("/"):
        raise ConfigurationError(INVALID)
    return Folder(Path(unquote(url.path)))


def bucket(settings: Settings) -> ObjectStore:
    """Returns the bucket, with credentials and endpoint from the environment. Raises ConfigurationError."""
    assert settings.storage_url is not None
    try:
        return from_url(settings.storage_url, retry_config={"max_retries": RETRIES, "retry_timeout": GIVE_UP})
    except (BaseError, ValueError, OSError) as error:  # the text has no credentials
        raise ConfigurationError(f"BATCHLINE_STORAGE_URL: {str(error).splitlines()[0]}") from None
