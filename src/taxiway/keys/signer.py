"""FileSigner: the port Signer over two Ed25519 keys in a private directory.

The keys are made together, once: all files are written beside the directory and moved into it at once, so that a
directory holds two whole keys or none. Tokens are compact JWTs (RFC 7519, EdDSA of RFC 8037) that name their key.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import secrets
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from taxiway.domain.errors import OutOfDisk, TaxiwayError

KEY_NAMES = ("first", "second")
"""Tokens are signed with the first; the second is there to take its place without a gap."""
SIGNING = "signing"
"""Where the keys of access tokens lie."""
BUNDLES = "bundles"
"""Where the keys of production's bundles lie."""
_MOST_BYTES = 4096
_STRAY = re.compile(r"\.(?:signing|bundles)\.[0-9a-f]{8}\Z")


class UnusableKey(TaxiwayError):
    """A signing key is missing, damaged, foreign or readable by others; nothing was changed."""

    reason = "UnusableKey"


class FileSigner:
    """Signs with keys in ``<directory>/signing``, which are made where there are none.

    Raises UnusableKey when what lies there is not two private keys of ours, OutOfDisk when they cannot be written.
    """

    def __init__(self, directory: Path, folder_name: str = SIGNING) -> None:
        """``folder_name`` is another one for another purpose: keys of access tokens sign nothing else."""
        folder = directory / folder_name
        if not folder.exists() and not folder.is_symlink():
            _make_keys(directory, folder)
        keys = [_read_key(folder, name) for name in KEY_NAMES]
        self._keys = {key_id(key): key for key in keys}
        if len(self._keys) != len(KEY_NAMES):
            raise UnusableKey(f"The signing keys in {folder} are one and the same.", hint=_hint(folder))
        self._signing_id = key_id(keys[0])

    def sign(self, claims: Mapping[str, str | int]) -> str:
        """Return a signed JWT (EdDSA) of these claims."""
        header = {"alg": "EdDSA", "kid": self._signing_id, "typ": "JWT"}
        signed = f"{_encode(_json(header))}.{_encode(_json(dict(claims)))}"
        return f"{signed}.{_encode(self._keys[self._signing_id].sign(signed.encode('ascii')))}"

    def sign_bytes(self, data: bytes) -> tuple[str, bytes]:
        """Return the key's name and an Ed25519 signature of 64 bytes (RFC 8032)."""
        return self._signing_id, self._keys[self._signing_id].sign(data)

    def public_keys(self) -> Mapping[str, bytes]:
        """Return the raw Ed25519 public keys by key id, for the gateway."""
        return {key: _public_bytes(private) for key, private in self._keys.items()}


def key_id(key: Ed25519PrivateKey) -> str:
    """Name a key after its public half, so that the name follows it wherever it is copied (RFC 7638's idea)."""
    return hashlib.sha256(_public_bytes(key)).hexdigest()[:16]


def _public_bytes(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def _make_keys(directory: Path, folder: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left in directory.iterdir():
            if _STRAY.match(left.name):
                shutil.rmtree(left)
        making = directory / f".{folder.name}.{secrets.token_hex(4)}"
        making.mkdir(mode=0o700)
        for name in KEY_NAMES:
            pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            _write(making / f"{name}.pem", pem)
        _sync(making)
        making.rename(folder)
        _sync(directory)
    except OSError as error:
        raise OutOfDisk(
            f"The signing keys cannot be written to {folder}: {error.strerror}.",
            hint="Free some space on that disk, and see that the directory is yours.",
        ) from error


def _read_key(folder: Path, name: str) -> Ed25519PrivateKey:
    path = folder / f"{name}.pem"
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        raise UnusableKey(f"The signing key {path} cannot be read: {error.strerror}.", hint=_hint(folder)) from error
    with os.fdopen(fd, "rb") as file:
        facts = os.fstat(fd)
        if not stat.S_ISREG(facts.st_mode) or facts.st_uid != os.geteuid() or stat.S_IMODE(facts.st_mode) & 0o077:
            raise UnusableKey(
                f"The signing key {path} is not a private file of yours.",
                hint=f"If nobody else can have read it: chmod 600 {path}. Else: {_hint(folder)}",
            )
        pem = file.read(_MOST_BYTES)
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise UnusableKey(f"The signing key {path} is damaged.", hint=_hint(folder)) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UnusableKey(f"The signing key {path} is not an Ed25519 key.", hint=_hint(folder))
    return key


def _hint(folder: Path) -> str:
    return (
        f"Restore {folder} from a backup. Without one, remove that directory: new keys are made at the next start, "
        "and every access token must be issued again."
    )


def _write(path: Path, content: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(fd)


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _json(value: Mapping[str, str | int]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
