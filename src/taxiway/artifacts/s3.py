"""S3Objects: the few things that we ask of an S3-compatible object store, blocking, and its errors in our words.

Nothing that a server says is repeated but its error code: messages of servers name keys and accounts.
"""

from __future__ import annotations

import importlib
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from taxiway.artifacts.files import Stopped
from taxiway.domain.errors import InvalidInput, StoreRefused, StoreUnavailable, TaxiwayError

T = TypeVar("T")

READ_BYTES = 8 << 20
"""One ranged request; what is read is kept in memory piece by piece."""
PART_BYTES = 16 << 20
PARTS_AT_ONCE = 2
CONNECT_SECONDS, READ_SECONDS = 5, 20
TRIES = 3
"""Of one request, by the library below, with pauses that grow."""
_CODE = re.compile(r"[A-Za-z0-9]{1,60}\Z")
_NO_CREDENTIALS = frozenset({"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"})
_PAST_THE_END = "InvalidRange"


class ObjectMissing(Exception):
    """There is no such object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Place:
    """Where objects are, and as whom. Credentials that are not given are found as AWS's own tools find theirs."""

    bucket: str
    prefix: str = ""
    endpoint: str = ""
    region: str = ""
    access_key_id: str = field(default="", repr=False)
    secret_access_key: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)


class S3Objects:
    """Objects below a prefix of a bucket. Every method blocks, may be called from any thread, and is tried again."""

    def __init__(self, place: S3Place) -> None:
        """Speak to nobody yet. Raises InvalidInput where the library for it is not installed."""
        self._bucket = place.bucket
        self._prefix = f"{place.prefix}/" if place.prefix else ""
        self._files = _open(place)

    def put(self, key: str, source: Path, go_on: Callable[[int], None]) -> None:
        """Store a file as an object, which is there whole or not at all. ``go_on`` may raise to stop it."""
        told = importlib.import_module("fsspec.callbacks").Callback(
            hooks={"go_on": lambda _size, value, **_: go_on(value)}
        )
        self._ask(
            lambda: self._files.put_file(
                str(source),
                self._name(key),
                callback=told,
                chunksize=PART_BYTES,
                max_concurrency=PARTS_AT_ONCE,
                ContentType="application/octet-stream",
            )
        )

    def put_bytes(self, key: str, content: bytes) -> None:
        """Store bytes as an object."""
        self._ask(lambda: self._files.call_s3("put_object", Bucket=self._bucket, Key=self._prefix + key, Body=content))

    def read(self, key: str) -> Iterator[bytes]:
        """Read an object to its end, piece by piece, each a request of its own. Raises ObjectMissing."""
        start = 0
        while True:
            try:
                piece = self._ask(partial(self._read, key, start, start + READ_BYTES))
            except _PastTheEnd:
                return
            if piece:
                yield piece
            start += len(piece)
            if len(piece) < READ_BYTES:
                return

    def _read(self, key: str, start: int, end: int) -> bytes:
        return bytes(self._files.cat_file(self._name(key), start=start, end=end))

    def names(self, below: str) -> Sequence[str]:
        """List the names right below a key that ends in a slash: those of objects, and of what ends in a slash."""
        found: list[str] = []
        where = self._prefix + below
        more: dict[str, str] = {}
        while True:
            page: Mapping[str, Any] = self._ask(partial(self._list, where, more))
            found += [str(each["Key"])[len(where) :] for each in page.get("Contents", ())]
            found += [str(each["Prefix"])[len(where) :].rstrip("/") for each in page.get("CommonPrefixes", ())]
            if not page.get("IsTruncated"):
                return sorted(name for name in found if name)
            more = {"ContinuationToken": str(page["NextContinuationToken"])}

    def _list(self, where: str, more: Mapping[str, str]) -> Mapping[str, Any]:
        page: Mapping[str, Any] = self._files.call_s3(
            "list_objects_v2", Bucket=self._bucket, Prefix=where, Delimiter="/", **more
        )
        return page

    def delete(self, key: str) -> None:
        """Delete an object. One that is not there: no error."""
        try:
            self._ask(lambda: self._files.call_s3("delete_object", Bucket=self._bucket, Key=self._prefix + key))
        except ObjectMissing:
            return

    def _name(self, key: str) -> str:
        return f"{self._bucket}/{self._prefix}{key}"

    def _ask(self, act: Callable[[], T]) -> T:
        try:
            return act()
        except (TaxiwayError, Stopped):
            raise
        except Exception as error:
            # Whatever the libraries below raise; their messages may repeat what is secret.
            raise _explained(error, self._bucket) from None


class _PastTheEnd(Exception):
    """The object ends before what was asked of it."""


def _open(place: S3Place) -> Any:
    try:
        library = importlib.import_module("s3fs")
    except ImportError as error:
        raise InvalidInput(
            "production.store_url needs s3fs, which is not installed.",
            hint="Install it with Taxiway: pip install 'taxiway[s3]'.",
            field="production.store_url",
        ) from error
    for name in ("botocore", "aiobotocore", "s3fs", "fsspec"):
        # Where somebody asks for everything to be logged, these would log what they sign, and what is answered.
        logging.getLogger(name).setLevel(logging.WARNING)
    settings: dict[str, Any] = {
        "connect_timeout": CONNECT_SECONDS,
        "read_timeout": READ_SECONDS,
        "retries": {"mode": "standard", "total_max_attempts": TRIES},
        # Servers other than AWS's stumble over the checksums in trailers that are sent otherwise. We read again
        # what was stored, which finds more.
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
    }
    if place.endpoint:
        settings["s3"] = {"addressing_style": "path"}
    files = library.S3FileSystem(
        key=place.access_key_id or None,
        secret=place.secret_access_key or None,
        token=place.session_token or None,
        endpoint_url=place.endpoint or None,
        client_kwargs={"region_name": place.region} if place.region else {},
        config_kwargs=settings,
        use_listings_cache=False,
        skip_instance_cache=True,
    )
    files.retries = 2
    return files


def _explained(error: Exception, bucket: str) -> Exception:
    """Return what is raised instead: what to do about it decides what it is called."""
    response = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
    if not isinstance(response, Mapping):
        if isinstance(error, OSError) and error.filename is not None:
            return error  # a file of ours
        if type(error).__name__ in _NO_CREDENTIALS:
            return _refused(bucket, "no credentials were found")
        return StoreUnavailable(
            f"The object store with bucket {bucket} does not answer: {type(error).__name__}.",
            hint="See whether production.store_endpoint is right and up. Pods go on; it is tried again by itself.",
        )
    said = str(response.get("Error", {}).get("Code", ""))
    code = said if _CODE.match(said) else "no code"
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)
    if code == _PAST_THE_END:
        return _PastTheEnd()
    if code in ("NoSuchKey", "404"):
        return ObjectMissing()
    if (400 <= status < 500 and status not in (408, 429)) or code == "NoSuchBucket":
        return _refused(bucket, f"{code}, status {status}")
    return StoreUnavailable(
        f"The object store with bucket {bucket} cannot answer: {code}, status {status}.",
        hint="See what its own log says. Pods go on; it is tried again by itself.",
    )


def _refused(bucket: str, what: str) -> StoreRefused:
    return StoreRefused(
        f"The object store refuses us in bucket {bucket}: {what}.",
        hint="Check bucket, region and credentials, and that they may list the bucket and get, put and delete objects.",
    )
