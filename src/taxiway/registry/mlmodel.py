"""What a logged model is, from the small files beside it: ``MLmodel``, ``python_env.yaml``, ``conda.yaml``,
``requirements.txt``. Pure: bytes and names in, ModelFacts out. Nothing is loaded, imported or unpickled.
"""  # noqa: D205

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from taxiway.domain.errors import MalformedModel, NoSignature
from taxiway.domain.models import ModelFacts
from taxiway.registry.artifacts import ModelFile
from taxiway.registry.formats import judge_files
from taxiway.registry.requirements import CONSTRAINTS, CondaEnvironment, read_conda, read_pip_part, read_requirements
from taxiway.registry.yamls import BadYaml, read_yaml
from taxiway_scoring.contract import ContractError, compile_signature

MLMODEL = "MLmodel"
READ_FILES = {MLMODEL: 4 << 20, "python_env.yaml": 64 << 10, "conda.yaml": 512 << 10, "requirements.txt": 512 << 10,
              CONSTRAINTS: 512 << 10}  # fmt: skip
"""The files that are read, and how many bytes of each at most. Ten thousand columns make an MLmodel of 1 MiB."""
INVARIANTS = "taxiway_invariants.py"
_PYTHON = re.compile(r"\d{1,2}\.\d{1,3}(\.\d{1,3})?\Z")
_VERSION = re.compile(r"[0-9A-Za-z.+!_-]{1,64}\Z")
_NOTHING = ("", "null", "~")
"""How YAML writes that there is nothing; every scalar is read as a text."""
LOG_AGAIN = "Log the model again with MLflow's own log_model."


def read_facts(contents: Mapping[str, bytes], files: Sequence[ModelFile]) -> ModelFacts:
    """Say what a model is; ``contents`` has those of READ_FILES that are there.

    Raises MalformedModel, NoSignature or UnsupportedRequirements, each with what to do.
    """
    model = _read_mlmodel(contents.get(MLMODEL))
    flavors = model.get("flavors")
    if not isinstance(flavors, dict) or not isinstance(flavors.get("python_function"), dict):
        raise MalformedModel(
            "MLmodel has no python_function flavor, so that nothing can call the model.",
            hint="Log it with a flavor that has one, such as mlflow.sklearn or mlflow.pyfunc.",
        )
    python_function = flavors["python_function"]
    conda = read_conda(contents["conda.yaml"]) if "conda.yaml" in contents else None
    paths = [file.path for file in files]
    file_format, unsafe = judge_files(paths, loader_module=str(python_function.get("loader_module", "")))
    return ModelFacts(
        flavors=tuple(sorted(str(name) for name in flavors)),
        signature=_read_signature(model.get("signature")),
        python_version=_python_version(contents.get("python_env.yaml"), conda, python_function),
        mlflow_version=_optional(model.get("mlflow_version")),
        requirements=_requirements(contents, conda),
        has_input_example=_has_example(model.get("saved_input_example_info"), frozenset(paths)),
        size_bytes=sum(file.size_bytes for file in files),
        file_count=len(files),
        file_format=file_format,
        unsafe_files=unsafe,
        has_invariants=_code_file(python_function, INVARIANTS) in paths,
    )


def _code_file(python_function: Mapping[str, Any], name: str) -> str:
    """Return where a file that was logged with ``code_paths`` lies."""
    folder = python_function.get("code")
    return f"{folder.strip('/')}/{name}" if isinstance(folder, str) and folder else name


def _read_mlmodel(content: bytes | None) -> dict[str, Any]:
    if content is None:
        raise MalformedModel("The folder has no MLmodel file, so it is no logged model.", hint=LOG_AGAIN)
    try:
        data = read_yaml(content)
    except BadYaml as error:
        raise MalformedModel(f"MLmodel cannot be read: {error}.", hint=LOG_AGAIN) from error
    if not isinstance(data, dict):
        raise MalformedModel("MLmodel is not a mapping of names to values.", hint=LOG_AGAIN)
    return data


def _read_signature(value: object) -> dict[str, str]:
    """Return the signature's texts, of which the contract was compiled once as a proof."""
    if value is None or value in _NOTHING:
        raise _no_signature("The logged model has no signature.")
    if not isinstance(value, dict):
        raise MalformedModel("The signature in MLmodel is not a mapping.", hint=LOG_AGAIN)
    texts: dict[str, str] = {}
    for key in ("inputs", "outputs", "params"):
        side = value.get(key)
        if side is None or side in _NOTHING:
            continue
        if not isinstance(side, str):
            raise MalformedModel(f"The signature's {key} in MLmodel are not a JSON text.", hint=LOG_AGAIN)
        texts[key] = side
    if "inputs" not in texts:
        raise _no_signature("The logged model's signature has no inputs.")
    try:
        compile_signature(texts)
    except ContractError as error:
        raise MalformedModel(f"The signature in MLmodel is not understood: {error}", hint=LOG_AGAIN) from error
    return texts


def _no_signature(message: str) -> NoSignature:
    return NoSignature(
        message,
        hint="Log it with signature=mlflow.models.infer_signature(inputs, predictions) or with an input_example; "
        "add one to a model that is logged with mlflow.models.set_signature.",
    )


def _python_version(
    python_env: bytes | None, conda: CondaEnvironment | None, python_function: Mapping[str, Any]
) -> str:
    """Return the first version that is named: ``python_env.yaml``, ``conda.yaml``, the python_function flavor."""
    named: object = None
    if python_env is not None:
        try:
            data = read_yaml(python_env)
        except BadYaml as error:
            raise MalformedModel(f"python_env.yaml cannot be read: {error}.", hint=LOG_AGAIN) from error
        if not isinstance(data, dict):
            raise MalformedModel("python_env.yaml is not a mapping of names to values.", hint=LOG_AGAIN)
        named = data.get("python")
    for version in (named, conda.python_version if conda else None, python_function.get("python_version")):
        if version is None or version in _NOTHING:
            continue
        if not isinstance(version, str) or _PYTHON.match(version) is None:
            raise MalformedModel("The model names a Python version that is not understood.", hint=LOG_AGAIN)
        return version
    raise MalformedModel("The model names no Python version.", hint=LOG_AGAIN)


def _requirements(contents: Mapping[str, bytes], conda: CondaEnvironment | None) -> tuple[str, ...]:
    constraints = _text(contents, CONSTRAINTS)
    text = _text(contents, "requirements.txt")
    if text is not None:
        return read_requirements(text, file="requirements.txt", constraints=constraints)
    if conda is not None:
        return read_pip_part(conda.pip, constraints=constraints)
    raise MalformedModel(
        "The model has neither requirements.txt nor conda.yaml, so that nobody knows what it needs.", hint=LOG_AGAIN
    )


def _text(contents: Mapping[str, bytes], name: str) -> str | None:
    if name not in contents:
        return None
    try:
        return contents[name].decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MalformedModel(f"{name} is not UTF-8.", hint=LOG_AGAIN) from error


def _optional(version: object) -> str | None:
    return version if isinstance(version, str) and version not in _NOTHING and _VERSION.match(version) else None


def _has_example(info: object, paths: frozenset[str]) -> bool:
    if not isinstance(info, dict):
        return False
    named = (info.get(key) for key in ("serving_input_path", "artifact_path"))
    return any(isinstance(name, str) and name in paths for name in named)
