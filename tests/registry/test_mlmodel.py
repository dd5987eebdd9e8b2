"""What a logged model is, from the files beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from taxiway.domain.errors import MalformedModel, NoSignature, TaxiwayError, UnsupportedRequirements
from taxiway.domain.models import FileFormat, ModelFacts
from taxiway.registry.artifacts import ModelFile
from taxiway.registry.formats import format_of
from taxiway.registry.mlmodel import read_facts
from tests.integration.registry.models import FILES

COLUMN = json.dumps([{"name": "a", "type": "double"}])


def facts(changes: Mapping[str, bytes | None] | None = None, *, more: tuple[str, ...] = ()) -> ModelFacts:
    contents = {name: content for name, content in {**FILES, **(changes or {})}.items() if content is not None}
    files = [ModelFile(path=name, size_bytes=10) for name in (*contents, *more)]
    return read_facts(contents, files)


def mlmodel(**changes: object) -> bytes:
    model: dict[str, object] = {
        "flavors": {"python_function": {"loader_module": "mlflow.lightgbm", "python_version": "3.12.1"}},
        "signature": {"inputs": COLUMN},
    }
    # JSON is YAML.
    return json.dumps({key: value for key, value in {**model, **changes}.items() if value != "left out"}).encode()


def test_the_python_version_is_the_first_that_is_named() -> None:
    assert facts().python_version == "3.10"
    without = {"MLmodel": mlmodel(), "python_env.yaml": None}
    assert facts({**without, "conda.yaml": b"dependencies: [python=3.9.1]"}).python_version == "3.9.1"
    assert facts({**without, "conda.yaml": None}).python_version == "3.12.1"
    for content in (b"python: three\n", b"python: [3]\n", b"python: 3.11; rm\n"):
        with pytest.raises(MalformedModel, match="Python version"):
            facts({"python_env.yaml": content})


def test_requirements_come_from_their_file_first() -> None:
    assert facts().requirements == ("mlflow==2.9.2", "scikit-learn==1.3.2")
    assert facts({"requirements.txt": None}).requirements == ("mlflow==2.9.2",)
    with pytest.raises(MalformedModel, match=r"neither requirements\.txt nor conda\.yaml"):
        facts({"requirements.txt": None, "conda.yaml": None})
    conda = b"dependencies: [libgdal, {pip: [mlflow]}]"
    for requirements in (None, b"mlflow\n"):
        with pytest.raises(UnsupportedRequirements, match="libgdal"):
            facts({"requirements.txt": requirements, "conda.yaml": conda})


@pytest.mark.parametrize("signature", ["left out", None, {"outputs": COLUMN}, {"inputs": None}])
def test_a_model_without_a_signature_says_how_to_add_one(signature: object) -> None:
    with pytest.raises(NoSignature) as refusal:
        facts({"MLmodel": mlmodel(signature=signature)})
    assert refusal.value.hint is not None
    assert "infer_signature" in refusal.value.hint


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"flavors: [unclosed",
        b"- a\n- b\n",
        b"",
        b"a: !!python/object:os.system {}",
        mlmodel(flavors={"sklearn": {}}),
        mlmodel(flavors="x"),
        mlmodel(signature="x"),
        mlmodel(signature={"inputs": "{not json"}),
        mlmodel(signature={"inputs": [1]}),
        mlmodel(signature={"inputs": json.dumps([{"name": "a", "type": "quaternion"}])}),
    ],
)
def test_what_is_malformed_is_said(content: bytes | None) -> None:
    with pytest.raises(MalformedModel, match="MLmodel"):
        facts({"MLmodel": content})


def test_a_loader_of_ones_own_is_never_safe() -> None:
    texts = {"model.pkl": None, "code/rules/__init__.py": None}
    assert facts({**texts, "MLmodel": mlmodel()}, more=("model.lgb",)).file_format is FileFormat.SAFE
    own = mlmodel(flavors={"python_function": {"loader_module": "my_loader"}})
    assert facts({**texts, "MLmodel": own}).file_format is FileFormat.UNKNOWN


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("MLmodel", FileFormat.SAFE), ("model.ubj", FileFormat.SAFE), ("data/model.onnx", FileFormat.SAFE),
        ("model.PKL", FileFormat.UNSAFE), ("python_model.pkl", FileFormat.UNSAFE), ("d/m.pth", FileFormat.UNSAFE),
        ("code/a.py", FileFormat.UNSAFE), ("model.skops", FileFormat.UNKNOWN), ("model.keras", FileFormat.UNKNOWN),
        ("weights", FileFormat.UNKNOWN), (".pkl", FileFormat.UNSAFE), ("pkl", FileFormat.UNKNOWN),
    ],
)  # fmt: skip
def test_formats(path: str, expected: FileFormat) -> None:
    assert format_of(path) is expected


def test_no_refusal_repeats_what_the_files_say() -> None:
    for name in ("MLmodel", "python_env.yaml", "conda.yaml", "requirements.txt"):
        for content in (b"S3CR3T: [\n", b"S3CR3T @ https://S3CR3T\n", b"\xffS3CR3T"):
            with pytest.raises(TaxiwayError) as refusal:
                facts({name: content})
            assert "S3CR3T" not in refusal.value.message + (refusal.value.hint or "")
