"""FileSigner: two keys, made once and whole, and tokens that verify with what the gateway is given."""

from __future__ import annotations

import base64
import json
import stat
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from taxiway.domain.errors import OutOfDisk
from taxiway.keys import FileSigner, UnusableKey


def decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def test_a_signed_token_verifies_and_carries_its_claims(keys: Path) -> None:
    signer = FileSigner(keys)
    claims: dict[str, str | int] = {"iss": "taxiway", "sub": "shop ü", "jti": "t1", "dep": "d1", "iat": 1, "exp": 2}
    head, payload, signature = signer.sign(claims).split(".")
    header = json.loads(decoded(head))
    assert header["alg"] == "EdDSA"
    assert json.loads(decoded(payload)) == claims
    public = Ed25519PublicKey.from_public_bytes(signer.public_keys()[header["kid"]])
    public.verify(decoded(signature), f"{head}.{payload}".encode())
    with pytest.raises(InvalidSignature):
        public.verify(decoded(signature), f"{head}.{payload}x".encode())


def test_there_are_two_keys_and_they_stay(keys: Path) -> None:
    first = FileSigner(keys)
    assert len(first.public_keys()) == 2
    assert len(set(first.public_keys().values())) == 2
    again = FileSigner(keys)
    assert again.public_keys() == first.public_keys()
    assert again.sign({"jti": "t"}) == first.sign({"jti": "t"})


def test_keys_are_private_and_nothing_else_is_left(keys: Path) -> None:
    FileSigner(keys)
    assert [path.name for path in keys.iterdir()] == ["signing"]
    assert stat.S_IMODE(keys.stat().st_mode) == stat.S_IMODE((keys / "signing").stat().st_mode) == 0o700
    files = sorted((keys / "signing").iterdir())
    assert [path.name for path in files] == ["first.pem", "second.pem"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_what_a_crash_left_while_making_keys_is_no_key(keys: Path) -> None:
    half = keys / ".signing.0123abcd"
    half.mkdir(parents=True)
    (half / "first.pem").write_bytes(b"-----BEGIN PRIV")
    assert len(FileSigner(keys).public_keys()) == 2
    assert [path.name for path in keys.iterdir()] == ["signing"]


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:40])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def another_kind(path: Path) -> None:
    key = generate_private_key(public_exponent=65537, key_size=2048)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def readable(path: Path) -> None:
    path.chmod(0o644)


def missing(path: Path) -> None:
    path.unlink()


def a_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def the_same_twice(path: Path) -> None:
    path.write_bytes((path.parent / "first.pem").read_bytes())


@pytest.mark.parametrize("harm", [damage, empty, another_kind, readable, missing, a_link, the_same_twice])
def test_a_key_that_is_not_ours_is_refused_with_what_to_do(keys: Path, harm: object) -> None:
    FileSigner(keys)
    before = (keys / "signing" / "first.pem").read_bytes()
    assert callable(harm)
    harm(keys / "signing" / "second.pem")
    with pytest.raises(UnusableKey) as caught:
        FileSigner(keys)
    assert str(keys / "signing") in caught.value.message
    assert caught.value.hint is not None
    assert "backup" in caught.value.hint
    assert b"PRIVATE" not in (caught.value.message + caught.value.hint).encode()
    assert (keys / "signing" / "first.pem").read_bytes() == before


def test_a_directory_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("a file")
    with pytest.raises(OutOfDisk) as caught:
        FileSigner(tmp_path / "keys")
    assert "cannot be written" in caught.value.message
