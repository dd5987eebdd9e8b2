"""MLflow's deployments plugin: ``mlflow deployments … -t taxiway`` and ``get_deploy_client("taxiway")``.

MLflow finds it by the entry point group ``mlflow.deployments`` and wants exactly one BaseDeploymentClient in here,
``run_local`` and ``target_help``. Talks to Taxiway as its Python client does.

| deployment's name | what it is               | made from                | asks for                  |
| ----------------- | ------------------------ | ------------------------ | ------------------------- |
| ``fraud-acme``    | a production deployment  | ``models:/fraud/3``      | an administrator's token  |
| ``fraud/3``       | a model version, staging | ``runs:/<run>/<model>``  | a member's token          |

Predictions go to the endpoint itself, with the access token in TAXIWAY_ACCESS_TOKEN where it needs one.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import httpx2
from mlflow.deployments import BaseDeploymentClient, PredictionsResponse
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    INVALID_PARAMETER_VALUE,
    PERMISSION_DENIED,
    RESOURCE_DOES_NOT_EXIST,
    TEMPORARILY_UNAVAILABLE,
)
from mlflow.utils.proto_json_utils import NumpyEncoder, dump_input_data

from taxiway.client import ApiError, Client, ProjectNeeded, Unreachable
from taxiway.wire.models import ConfigurationIn, ConversionIn, ModelVersionDetailOut, ModelVersionOut
from taxiway.wire.production import ProductionConfigurationIn, ProductionOut, PromotionIn

TARGET = "taxiway"
WAIT_SECONDS = 900.0
PREDICT_SECONDS = 310.0
_REGISTERED = re.compile(r"models:/([^/@]+)/([0-9]+)\Z")
_RUN = re.compile(r"runs:/([^/]+)/(.+)\Z")
_PROTOCOL = frozenset({"dataframe_split", "dataframe_records", "instances", "inputs"})
_VERSION = re.compile(r"([^/]+)/([0-9]+)\Z")
_CODES = {401: PERMISSION_DENIED, 403: PERMISSION_DENIED, 404: RESOURCE_DOES_NOT_EXIST, 503: TEMPORARILY_UNAVAILABLE}


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError
    return text.lower() == "true"


Read = Mapping[str, Callable[[str], Any]]
STAGING: Read = {
    "memory": str, "cpus": str, "timeout_seconds": float, "start_deadline_seconds": float, "serving": str,
    "method": str, "on_output_mismatch": str, "rows_are_independent": str, "needs_token": _truth,
}  # fmt: skip
PRODUCTION: Read = {
    "memory": str, "cpus": str, "min_pods": int, "max_pods": int, "needs_token": _truth, "quota_per_second": float,
    "quota_burst": int,
}  # fmt: skip
PROMOTION: Read = {**PRODUCTION, "customer": str, "reason": str, "accept_breaking": _truth}
"""What ``-C`` takes, and how its texts are read."""


def run_local(*_asked: Any, **_more: Any) -> None:
    """Refuse: a Taxiway on this machine is a target like any other."""
    raise MlflowException(
        "Taxiway has no run-local. Start one with `taxiway up` and create a deployment there, or serve without it: "
        "`mlflow models serve -m …`.",
        INVALID_PARAMETER_VALUE,
    )


def target_help() -> str:
    """Tell how to name a target, and what ``-C`` takes."""
    return f"""Taxiway: {TARGET}, or {TARGET}:URL as in {TARGET}:https://taxiway.example.

Who one is comes from TAXIWAY_TOKEN and TAXIWAY_PROJECT, or from `taxiway login`.

  mlflow deployments create -t {TARGET} -m runs:/RUN/MODEL --name fraud -C cpus=1
      makes a new version of the model fraud in staging; it is called fraud/1, fraud/2, …
  mlflow deployments create -t {TARGET} -m models:/fraud/1 --name fraud-acme -C customer=Acme -C reason="They asked."
      promotes that version to production, as fraud-acme; administrators may

-C for staging: {", ".join(STAGING)}.
-C for production: {", ".join(PROMOTION)}.
`cpu` is short for `cpus`. Predictions need an access token in TAXIWAY_ACCESS_TOKEN, unless the endpoint is open.
"""


class TaxiwayDeploymentClient(BaseDeploymentClient):  # type: ignore[misc]
    """Taxiway's deployments as MLflow's client speaks of them."""

    def __init__(self, target_uri: str) -> None:
        super().__init__(target_uri)
        self._url = _url_of(target_uri)

    def create_deployment(
        self,
        name: str,
        model_uri: str,
        flavor: str | None = None,
        config: Mapping[str, Any] | None = None,
        endpoint: str | None = None,
    ) -> dict[str, Any]:
        """Promote ``models:/NAME/VERSION``, or convert ``runs:/RUN/MODEL``; return when it is ON."""
        _refuse(flavor=flavor, endpoint=endpoint)
        with self._client() as client:
            if (found := _REGISTERED.match(model_uri)) is not None:
                return self._promote(client, name, found, config)
            if (found := _RUN.match(model_uri)) is not None:
                asked = ConversionIn(model=name, logged_model=found[2], **_read(config, STAGING))
                made = client.convert(found[1], asked)
                return _staging(_on(client.wait(made.model, made.version, timeout_seconds=WAIT_SECONDS)))
        raise _invalid("A model is models:/NAME/VERSION, for production, or runs:/RUN/MODEL, for staging.")

    def update_deployment(
        self,
        name: str,
        model_uri: str | None = None,
        flavor: str | None = None,
        config: Mapping[str, Any] | None = None,
        endpoint: str | None = None,
    ) -> dict[str, Any]:
        """Serve another version (production), or as another configuration says; return when it is ON."""
        _refuse(flavor=flavor, endpoint=endpoint)
        version = _VERSION.match(name)
        with self._client() as client:
            if version is not None:
                if model_uri is not None:
                    raise _invalid("A version serves one model for good; create another one.")
                client.configure(version[1], int(version[2]), ConfigurationIn(**_read(config, STAGING)))
                return _staging(_on(client.wait(version[1], int(version[2]), timeout_seconds=WAIT_SECONDS)))
            if model_uri is None:
                client.configure_production(name, ProductionConfigurationIn(**_read(config, PRODUCTION)))
                return _production(_on(client.wait_production(name, timeout_seconds=WAIT_SECONDS)))
            found = _REGISTERED.match(model_uri)
            if found is None:
                raise _invalid("Production serves model versions: models:/NAME/VERSION.")
            client.production_deployment(name)
            return self._promote(client, name, found, config)

    def delete_deployment(
        self, name: str, config: Mapping[str, Any] | None = None, endpoint: str | None = None
    ) -> None:
        """Delete a deployment. It is not there: no effect."""
        _refuse(endpoint=endpoint)
        _read(config, {})
        version = _VERSION.match(name)
        with self._client() as client:
            try:
                if version is None:
                    client.delete_production(name)
                else:
                    client.delete(version[1], int(version[2]))
            except ApiError as error:
                if error.status != 404:
                    raise

    def list_deployments(self, endpoint: str | None = None) -> list[dict[str, Any]]:
        """List the project's model versions and, for administrators, what is in production."""
        _refuse(endpoint=endpoint)
        with self._client() as client:
            found, cursor = [], None
            while True:
                page = client.models(project=client.in_project(None), cursor=cursor)
                found += [_staging(version) for version in page.items]
                cursor = page.next_cursor
                if cursor is None:
                    break
            try:
                found += [_production(deployment) for deployment in client.production().items]
            except ApiError as error:
                if error.status != 403:
                    raise
            return found

    def get_deployment(self, name: str, endpoint: str | None = None) -> dict[str, Any]:
        """Show one deployment."""
        _refuse(endpoint=endpoint)
        version = _VERSION.match(name)
        with self._client() as client:
            if version is None:
                return _production(client.production_deployment(name))
            return _staging(client.model(version[1], int(version[2])))

    def predict(
        self, deployment_name: str | None = None, inputs: Any = None, endpoint: str | None = None
    ) -> PredictionsResponse:
        """Ask a deployment, or an endpoint by its URL: a DataFrame, an array, a list, or MLflow's JSON as a dict."""
        if (deployment_name is None) == (endpoint is None):
            raise _invalid("Say which deployment is asked: deployment_name=…, or endpoint=… with its URL.")
        body = _body(inputs)
        token = os.environ.get("TAXIWAY_ACCESS_TOKEN")
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        with self._client() as client:
            path = _path_of(client, endpoint) if deployment_name is None else _endpoint(client, deployment_name)
            answer = _ask(f"{client.url}{path}/invocations", body, headers)
        if answer.status_code != 200:
            raise _refusal(answer)
        return PredictionsResponse.from_json(answer.text)

    def _promote(
        self, client: Client, name: str, found: re.Match[str], config: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        asked = {"reason": "Deployed with mlflow deployments.", **_read(config, PROMOTION)}
        done = client.promote(
            PromotionIn(project=client.in_project(None), model=found[1], version=int(found[2]), name=name, **asked)
        )
        if done.waits_as:
            raise _invalid(f"It waits for another administrator, as {done.waits_as}; it is deployed once approved.")
        return _production(_on(client.wait_production(name, timeout_seconds=WAIT_SECONDS)))

    @contextmanager
    def _client(self) -> Iterator[Client]:
        try:
            with Client(self._url) as client:
                yield client
        except ApiError as error:
            said = f"{error.message} {error.hint}".strip()
            raise MlflowException(said, _CODES.get(error.status, INVALID_PARAMETER_VALUE)) from error
        except (Unreachable, TimeoutError) as error:
            raise MlflowException(str(error), TEMPORARILY_UNAVAILABLE) from error
        except ProjectNeeded as error:
            raise _invalid("Say which project: set TAXIWAY_PROJECT, or `taxiway login --project`.") from error


def _url_of(target: str) -> str | None:
    """Return the URL in a target; None: the usual one."""
    _, _, rest = target.partition(":")
    if rest in ("", "//"):
        return None
    if not rest.startswith(("http://", "https://")):
        raise _invalid(f"A target is {TARGET}, or {TARGET}:URL as in {TARGET}:https://taxiway.example.")
    return rest.rstrip("/")


def _refuse(**given: str | None) -> None:
    for word, value in given.items():
        if value is not None:
            raise _invalid(
                "The model says itself of which flavor it is."
                if word == "flavor"
                else "Taxiway has deployments only, each with an endpoint of its own: leave `endpoint` out."
            )


def _read(config: Mapping[str, Any] | None, known: Read) -> dict[str, Any]:
    """Read ``-C`` values, which come as texts from the command line."""
    found: dict[str, Any] = {}
    for key, value in (config or {}).items():
        name = "cpus" if key == "cpu" else key
        if name not in known:
            raise _invalid(f"Unknown setting {key}. Known are: {', '.join(known) or 'none'}.")
        try:
            found[name] = known[name](str(value))
        except ValueError as error:
            raise _invalid(f"The setting {key} cannot be read: {str(value)[:80]!r}.") from error
    return found


def _body(inputs: Any) -> str:
    """Write what is to be predicted as MLflow's JSON. What is missing in a table is null: JSON has no NaN."""
    if inputs is None:
        raise _invalid("There is nothing to predict: give inputs=…")
    if isinstance(inputs, dict):
        is_whole = bool(_PROTOCOL & set(inputs))
        return json.dumps(inputs if is_whole else {"inputs": inputs}, cls=NumpyEncoder)
    if hasattr(inputs, "columns"):
        plain = inputs.astype(object).where(inputs.notna(), None)
        return json.dumps({"dataframe_split": plain.to_dict(orient="split", index=False)}, cls=NumpyEncoder)
    return str(dump_input_data(inputs))


def _path_of(client: Client, url: str | None) -> str:
    """Return the path of an endpoint's URL; one of somebody else is not asked, and is not shown the token."""
    begin, found = f"{client.url}/", (url or "").rstrip("/")
    if not found.startswith(begin):
        raise _invalid(f"An endpoint's URL begins with {begin}, as the target does.")
    return found.removeprefix(client.url)


def _endpoint(client: Client, name: str) -> str:
    version = _VERSION.match(name)
    if version is None:
        return f"/production/{quote(name, safe='')}"
    path = client.model(version[1], int(version[2])).url
    return httpx2.URL(path).path.rstrip("/")


def _ask(url: str, body: str, headers: Mapping[str, str]) -> httpx2.Response:
    try:
        with httpx2.Client(timeout=PREDICT_SECONDS, trust_env=False) as http:
            return http.post(url, content=body.encode(), headers=dict(headers))
    except httpx2.TransportError as error:
        raise MlflowException(f"No answer from {url}.", TEMPORARILY_UNAVAILABLE) from error


def _refusal(answer: httpx2.Response) -> MlflowException:
    try:
        said = answer.json()
        words = str(said.get("message") or said.get("detail") or "")
    except (ValueError, AttributeError):
        words = ""
    if answer.status_code in (401, 403):
        words += " Put an access token of this endpoint into TAXIWAY_ACCESS_TOKEN."
    return MlflowException(
        f"The endpoint answered {answer.status_code}. {words}".strip(),
        _CODES.get(answer.status_code, INVALID_PARAMETER_VALUE),
    )


def _on(seen: Any) -> Any:
    """Return what became ON; raise for what did not, with its reason."""
    if seen.status != "ON":
        raise MlflowException(
            f"It is {seen.status}: {seen.message} {seen.hint}".strip(),
            TEMPORARILY_UNAVAILABLE,
        )
    return seen


def _staging(seen: ModelVersionOut | ModelVersionDetailOut) -> dict[str, Any]:
    return {"name": f"{seen.model}/{seen.version}", "flavor": None, **_shown(seen), "project": seen.project}


def _production(seen: ProductionOut) -> dict[str, Any]:
    return {
        "name": seen.name,
        "flavor": None,
        **_shown(seen),
        "customer": seen.customer,
        "model": f"models:/{seen.model}/{seen.version}",
        "project": seen.project,
    }


def _shown(seen: ModelVersionOut | ProductionOut) -> dict[str, Any]:
    return {"status": str(seen.status), "message": seen.message, "url": seen.url}


def _invalid(message: str) -> MlflowException:
    return MlflowException(message, INVALID_PARAMETER_VALUE)
