"""Bundles: what went to production, signed, so that anybody with the public key can check it without Taxiway running.

A bundle is a JSON file ``<model version>.json``: the document, the key's name and an Ed25519 signature over the
document's canonical bytes (RFC 8032; keys sorted, no spaces, ASCII). The document names the snapshot by the digest of
its manifest, which names every file by size and SHA-256; so the signature holds the files as well. The public keys lie
beside the bundles; whoever wants to trust more than that directory keeps a copy of them elsewhere.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import secrets
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from taxiway.domain.errors import ArtifactDigestMismatch
from taxiway.domain.ids import ModelVersionId
from taxiway.domain.scrubs import Found, Place
from taxiway_scoring import manifest

Sign = Callable[[bytes], tuple[str, bytes]]
"""Returns the key's name, which is the beginning of its public half's SHA-256, and the signature."""
VERSION = 1
KEYS = "keys"
_NAME = re.compile(r"[0-9a-f]{28}\Z")
_KEY = re.compile(r"[0-9a-f]{16}\Z")
_MOST_BYTES = 64 << 20


def canonical(document: Mapping[str, Any]) -> bytes:
    """Return the bytes that are signed."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")


class FileBundleStore:
    """Bundles as files in ``home``, and the public keys below ``home/keys``."""

    def __init__(self, home: Path, *, sign: Sign, public_keys: Mapping[str, bytes]) -> None:
        """Make the directories where they are missing, and write the raw public keys down by their names."""
        self._home = home
        self._sign = sign
        (home / KEYS).mkdir(parents=True, exist_ok=True, mode=0o700)
        for left in home.glob(".making-*"):
            left.unlink(missing_ok=True)
        for key, raw in public_keys.items():
            if not (home / KEYS / key).exists():
                write(home / KEYS, key, base64.b64encode(raw) + b"\n")

    async def keep(self, key: ModelVersionId, document: Mapping[str, Any]) -> None:
        """Sign a document and keep it. There already: no effect, for a bundle never changes."""
        if not (self._home / f"{key}.json").exists():
            content = await self._publish(key, self._signed(key, document))
            write(self._home, f"{key}.json", content)

    async def drop(self, key: ModelVersionId) -> None:
        """Delete a bundle. An unknown one is already gone: no error."""
        await self._withdraw(key)
        (self._home / f"{key}.json").unlink(missing_ok=True)

    async def scrub(self, key: ModelVersionId) -> Sequence[Found]:
        """Check a bundle's signature, where it is kept."""
        content = self._content(key)
        return [] if content is None else self._look_at(key, content, Place.STORE)

    def _content(self, key: ModelVersionId) -> bytes | None:
        """Return the bundle of this host; nothing where it is no file, None where it is not there."""
        if not os.path.lexists(self._home / f"{key}.json"):
            return None
        try:
            return _read(self._home, f"{key}.json")
        except ArtifactDigestMismatch:
            return b""

    def _look_at(self, key: ModelVersionId, content: bytes, place: Place) -> list[Found]:
        try:
            opened(content, key, self._home / KEYS)
        except ArtifactDigestMismatch as error:
            return [Found(path=f"{key}.json", place=place, message=error.message)]
        return []

    def _signed(self, key: ModelVersionId, document: Mapping[str, Any]) -> bytes:
        signed = {"version": VERSION, "model_version": key, **document}
        name, signature = self._sign(canonical(signed))
        bundle = {"bundle": signed, "key": name, "signature": base64.b64encode(signature).decode()}
        return json.dumps(bundle, indent=1).encode() + b"\n"

    async def _publish(self, key: ModelVersionId, content: bytes) -> bytes:  # noqa: ARG002
        """Bring a bundle to where else it is kept; return the one that is kept there. Here that is nowhere."""
        return content

    async def _withdraw(self, key: ModelVersionId) -> None:
        """Delete a bundle where else it is kept. Here that is nowhere."""


def write(directory: Path, name: str, content: bytes) -> None:
    """Put a read-only file in place, whole or not at all."""
    making = directory / f".making-{secrets.token_hex(8)}"
    descriptor = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o400)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    making.rename(directory / name)


# ------------------------------------------------------------------ checking, offline


def bundles_in(home: Path) -> list[ModelVersionId]:
    """List the bundles of a directory; what is none of ours is refused by name. Raises ArtifactDigestMismatch."""
    found = []
    try:
        entries = sorted(home.iterdir())
    except OSError as error:
        raise _wrong(home.name, f"cannot be read: {error.strerror}") from error
    for entry in entries:
        if entry.name == KEYS:
            continue
        if not (entry.suffix == ".json" and _NAME.match(entry.stem)):
            raise _wrong(entry.name, "was added")
        found.append(ModelVersionId(entry.stem))
    return found


def verify(home: Path, key: ModelVersionId, snapshots: Path, *, public_keys: Path | None = None) -> dict[str, Any]:
    """Check a bundle's signature and every file that it speaks of; return its document.

    ``public_keys`` is a directory of keys that are trusted; else those beside the bundles. Raises
    ArtifactDigestMismatch, which names the file.
    """
    document = opened(_read(home, f"{key}.json"), key, public_keys or home / KEYS)
    digest = str(document["snapshot"])
    try:
        manifest.verify(snapshots / digest, digest)
    except manifest.ManifestError as error:
        raise ArtifactDigestMismatch(
            f"Snapshot {digest[:12]} is not what was promoted: {error.message}",
            hint="Find out who changed it; promote the model version again.",
            path=error.path,
        ) from error
    return document


def opened(content: bytes, key: ModelVersionId, public_keys: Path) -> dict[str, Any]:
    """Return the document of a bundle whose signature is right. Raises ArtifactDigestMismatch, which names the file."""
    name = f"{key}.json"
    try:
        bundle = json.loads(content)
        document, signer = bundle["bundle"], str(bundle["key"])
        signature = base64.b64decode(bundle["signature"], validate=True)
        if set(bundle) != {"bundle", "key", "signature"} or document["version"] != VERSION:
            raise ValueError
        signed = canonical(document)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _wrong(name, "is no bundle of this version") from error
    try:
        public_key(public_keys, signer).verify(signature, signed)
    except InvalidSignature as error:
        raise _wrong(name, "is not what was signed") from error
    except ArtifactDigestMismatch as error:
        raise _wrong(name, f"is signed with a key that cannot be used: {error.message.rstrip('.')}") from error
    if document.get("model_version") != key:
        raise _wrong(name, "is another one's bundle")
    return dict(document)


def public_key(directory: Path, name: str) -> Ed25519PublicKey:
    """Read a public key. Raises ArtifactDigestMismatch where there is none of that name, or it is another one."""
    label = f"{KEYS}/{name[:40]}"
    if not _KEY.match(name):
        raise _wrong(label, "is no key's name")
    try:
        raw = base64.b64decode(_read(directory, name, label))
        key = Ed25519PublicKey.from_public_bytes(raw)
    except ValueError as error:
        raise _wrong(label, "is no public key") from error
    if hashlib.sha256(raw).hexdigest()[:16] != name:
        raise _wrong(label, "is another key than its name says")
    return key


def _read(directory: Path, name: str, label: str = "") -> bytes:
    """Read a regular file; ``label`` is how messages call it."""
    label = label or name
    try:
        descriptor = os.open(directory / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _wrong(label, f"cannot be read: {error.strerror}") from error
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _wrong(label, "is no regular file")
        return file.read(_MOST_BYTES)


def _wrong(name: str, what: str) -> ArtifactDigestMismatch:
    hint = "Find out who changed it; promote the model version again."
    return ArtifactDigestMismatch(f"{name} {what}.", hint=hint, path=name)
