"""The client of an object store, and its errors in words for the user."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)

from mckd_ray.errors import StoreError

PATIENCE_S = 180.0
"""How long a request is made again, with growing pauses, where the store refuses or does not answer."""
LONGEST_PAUSE_S = 10.0
BRISK_S = 5.0
"""The same for requests that are only of interest now."""
CONNECT_S = 5.0
SILENCE_S = 60.0
"""How long an answer may stand still; there is no limit for the whole of it."""
CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and where needed AWS_SESSION_TOKEN, AWS_REGION, AWS_ENDPOINT_URL",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
}
"""The variables that hold what is needed, where the machine itself has no role."""
_NO_ROLE = ("/latest/api/token", "/computeMetadata/", "token request")
"""What stands in errors where the machine was asked for the credentials of its role, and had none."""
_REASON = re.compile(r"status code: \d+ [\w ]+|HTTP error: [\w ]+")


def client(uri: str, patience_s: float) -> Any:
    """A client for what is below `uri`, with credentials from the environment or of the machine.

    A request that fails for no fault of its own is made again for `patience_s` seconds.
    """
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    store_at: Any = obstore.store.from_url  # Its overloads name every option of every store.
    pauses = {"init_backoff": timedelta(seconds=0.2), "max_backoff": timedelta(seconds=LONGEST_PAUSE_S), "base": 2}
    with explained(uri):
        return store_at(
            uri,
            client_options={
                "allow_http": uri.startswith("s3://") and endpoint.startswith("http://"),
                "connect_timeout": timedelta(seconds=CONNECT_S),
                "read_timeout": timedelta(seconds=SILENCE_S),
                "timeout": timedelta(days=1),
            },
            retry_config={"backoff": pauses, "max_retries": 1000, "retry_timeout": timedelta(seconds=patience_s)},
        )


@contextmanager
def explained(uri: str) -> Iterator[None]:
    """Raise the errors of the client as StoreErrors of the store at `uri`; those of conditions, and of files, pass."""
    try:
        yield
    except (AlreadyExistsError, PreconditionError):
        raise
    except FileNotFoundError as error:
        if "NoSuchBucket" in str(error):
            raise _no_bucket(uri) from error
        raise
    except (BaseError, ValueError) as error:
        raise _explained(uri, error) from error


def _explained(uri: str, error: Exception) -> StoreError:
    text, scheme = str(error), uri.partition("://")[0]
    if "NoSuchBucket" in text:
        return _no_bucket(uri)
    where = f"store.root '{uri}'"
    if any(sign in text for sign in _NO_ROLE):
        return StoreError(f"{where}: no credentials are found; set {CREDENTIALS[scheme]} in the environment.")
    if isinstance(error, PermissionDeniedError | UnauthenticatedError) or "Forbidden" in text:
        return StoreError(
            f"{where}: these credentials may not do this; check {CREDENTIALS[scheme]}, and what they may do there "
            "(list, read, write and delete)."
        )
    reason = _REASON.search(text)
    return StoreError(
        f"{where} does not answer as it should ({reason[0] if reason else text.splitlines()[0][:200]}); check its "
        "address and the network. What has been done is kept: the same command goes on."
    )


def _no_bucket(uri: str) -> StoreError:
    bucket = uri.partition("://")[2].partition("/")[0]
    return StoreError(f"store.root '{uri}': there is no bucket '{bucket}'; make it, or name another.")
