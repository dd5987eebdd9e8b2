"""MLflowRegistry: the port ModelRegistry over MLflow's REST API."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from taxiway.domain.errors import InvalidInput, MalformedModel, NotFound
from taxiway.domain.ids import ExperimentId, ModelName, ModelVersionId, ProjectName, RunId
from taxiway.domain.models import LoggedModel, LoggedModelRef, ModelFacts
from taxiway.ports import ReportBytes
from taxiway.registry.artifacts import (
    FolderLimits,
    check_path,
    copy_files,
    is_safe_path,
    list_files,
    list_folder,
    read_small,
    root_of,
)
from taxiway.registry.connection import MLflowConnection, MLflowRefused, unavailable
from taxiway.registry.mlmodel import MLMODEL, READ_FILES, read_facts
from taxiway.registry.reading import (
    HISTORY_TAG,
    Unreadable,
    items,
    mapping,
    read_history,
    read_logged_model,
    read_run,
    tags,
    text,
    whole,
)
from taxiway.registry.tracking import check_run_id, run_json

KEY_TAG = "taxiway.model_version"
"""The tag by which a version that was registered before is found again."""
MOST_FOLDERS = 300
MOST_LEVELS = 8


class MLflowRegistry:
    """Finds, reads, registers and copies logged models. Keeps nothing."""

    def __init__(self, connection: MLflowConnection, *, limits: FolderLimits | None = None) -> None:
        """Take models up to ``limits``."""
        self._connection = connection
        self._limits = limits or FolderLimits()

    # -- what a run logged --------------------------------------------------------------------------------------

    async def logged_in(self, project: ProjectName, run: RunId) -> Sequence[LoggedModel]:
        """List the models that the run logged, MLflow 3's and MLflow 2's, without reading their files."""
        data = await run_json(self._connection, project, run)
        try:
            info = mapping(data.get("info"))
            experiment = ExperimentId(text(info, "experiment_id", needed=True))
            history = read_history(tags(mapping(data.get("data") or {})).get(HISTORY_TAG, ""))
            root = root_of(text(info, "artifact_uri"), project)
        except Unreadable as error:
            raise unavailable("MLflow's answer about a run is not understood.") from error
        found = await self._logged_models(project, experiment, run)
        for path in await self._model_folders(project, root):
            flavors, created_at = history.get(path, ((), None))
            ref = LoggedModelRef(run_id=run, name=path.rpartition("/")[2] or "model", path=path)
            found.append(LoggedModel(ref=ref, experiment_id=experiment, created_at=created_at, flavors=flavors))
        return found

    async def _logged_models(self, project: ProjectName, experiment: ExperimentId, run: RunId) -> list[LoggedModel]:
        asked: dict[str, Any] = {
            "experiment_ids": [experiment],
            "filter": f"source_run_id = '{check_run_id(run, project)}'",
            "max_results": 100,
        }
        try:
            answer = await self._connection.send("POST", project, "/logged-models/search", asked)
            models = [read_logged_model(item) for item in items(answer, "models")]
        except MLflowRefused as refused:
            raise refused.explained("run", project=project) from refused
        except Unreadable as error:
            raise unavailable("MLflow's list of logged models is not understood.") from error
        return sorted((m for m in models if m is not None), key=lambda m: (m.ref.name, m.ref.model_id or ""))

    async def _model_folders(self, project: ProjectName, root: str) -> list[str]:
        """Find the folders with an ``MLmodel`` file in a run's artifacts; what lies within a model is its own."""
        found, waiting, looked_at = [], [""], 0
        while waiting and looked_at < MOST_FOLDERS:
            folder = waiting.pop(0)
            looked_at += 1
            entries = await list_folder(self._connection, project, f"{root}/{folder}".rstrip("/"))
            if any(entry.path == MLMODEL and not entry.is_folder for entry in entries):
                found.append(folder)
            elif folder.count("/") < MOST_LEVELS:
                below = [f"{folder}/{entry.path}".lstrip("/") for entry in entries if entry.is_folder]
                waiting += sorted(path for path in below if is_safe_path(path))
        return sorted(found)

    async def metrics_of(self, project: ProjectName, run: RunId) -> Mapping[str, float]:
        """Return the latest value of each of the run's metrics, of those that are finite numbers."""
        try:
            found = read_run(await run_json(self._connection, project, run))
        except Unreadable as error:
            raise unavailable("MLflow's answer about a run is not understood.") from error
        return {name: value for name, value in found.metrics.items() if math.isfinite(value)}

    # -- what a logged model is ---------------------------------------------------------------------------------

    async def inspect(self, project: ProjectName, ref: LoggedModelRef) -> ModelFacts:
        """Read the small files beside a logged model and say what it is. Opens no pickle."""
        root, _ = await self._locate(project, ref)
        try:
            files = await list_files(self._connection, project, root, limits=self._limits)
            there = {file.path for file in files}
            contents = {
                name: await read_small(self._connection, project, f"{root}/{name}", most=most)
                for name, most in READ_FILES.items()
                if name in there
            }
        except MLflowRefused as refused:
            raise refused.explained("logged model", project=project) from refused
        # Megabytes of YAML take a second; the event loop has other things to do meanwhile.
        return await asyncio.to_thread(read_facts, contents, files)

    async def fetch(self, project: ProjectName, ref: LoggedModelRef, into: Path, report: ReportBytes) -> None:
        """Copy the logged model's files into an existing empty directory. May be cancelled."""
        root, _ = await self._locate(project, ref)
        try:
            files = await list_files(self._connection, project, root, limits=self._limits)
            if not files:
                raise MalformedModel("The logged model has no files.", hint="Log the model again.")
            await copy_files(self._connection, project, root, files, into, report)
        except MLflowRefused as refused:
            raise refused.explained("logged model", project=project) from refused

    async def _locate(self, project: ProjectName, ref: LoggedModelRef) -> tuple[str, str]:
        """Return where a logged model's files are: the store's path, and the URI that MLflow registers."""
        if ref.model_id is None:
            data = await run_json(self._connection, project, ref.run_id)
            path = check_path(ref.path or "")
            try:
                root = root_of(text(mapping(data.get("info")), "artifact_uri"), project)
            except Unreadable as error:
                raise unavailable("MLflow's answer about a run is not understood.") from error
            folder = f"{root}/{path}".rstrip("/")
            return folder, f"mlflow-artifacts:/{folder}"
        if not is_safe_path(ref.model_id) or "/" in ref.model_id:
            raise NotFound(f"There is no such logged model in project {project}.", hint="See `taxiway run show`.")
        try:
            answer = await self._connection.get(project, f"/logged-models/{ref.model_id}")
            uri = text(mapping(mapping(answer.get("model")).get("info")), "artifact_uri")
        except MLflowRefused as refused:
            raise refused.explained("logged model", project=project) from refused
        except Unreadable as error:
            raise unavailable("MLflow's answer about a logged model is not understood.") from error
        return root_of(uri, project), f"models:/{ref.model_id}"

    # -- registered models --------------------------------------------------------------------------------------

    async def register(
        self,
        project: ProjectName,
        model: ModelName,
        ref: LoggedModelRef,
        *,
        key: ModelVersionId,
        tags: Mapping[str, str],
    ) -> int:
        """Register the logged model as the next version of the model, which is made where it is new.

        Called again with the same ``key``, also after a crash, it returns the version that it made before: the
        lowest, and what two at a time made too many is deleted. Raises InvalidInput for tags that MLflow refuses.
        """
        if any(name.startswith(("mlflow.", "taxiway.")) for name in tags):
            raise InvalidInput(
                "Tags that begin with 'mlflow.' or 'taxiway.' are kept for both.",
                hint="Choose another key.",
                field="/tags",
            )
        before = await self._versions_of_key(project, model, key)
        if before:
            return before[0]
        _, source = await self._locate(project, ref)
        is_new = await self._ensure_model(project, model)
        wanted: dict[str, Any] = {
            "name": model,
            "source": source,
            "run_id": ref.run_id,
            "tags": [{"key": name, "value": value} for name, value in {**tags, KEY_TAG: key}.items()],
        }
        if ref.model_id is not None:
            wanted["model_id"] = ref.model_id
        try:
            answer = await self._connection.send("POST", project, "/model-versions/create", wanted)
            made = whole(mapping(answer.get("model_version")).get("version"))
        except MLflowRefused as refused:
            if is_new:
                await self._delete_if_empty(project, model)
            raise InvalidInput(
                "MLflow does not register this logged model.",
                hint="See that the run still exists; a tag's key has letters, digits, '_', '-', '.', ' ', ':' and '/'.",
            ) from refused
        except Unreadable as error:
            raise unavailable("MLflow's answer about a model version is not understood.") from error
        first = min([made, *await self._versions_of_key(project, model, key)])
        if first != made:
            await self.unregister(project, model, made)
        return first

    async def unregister(self, project: ProjectName, model: ModelName, version: int) -> None:
        """Delete a version, and the model when it was its last. An unknown one is already gone: no error."""
        await self._delete(project, "/model-versions/delete", {"name": model, "version": str(version)})
        await self._delete_if_empty(project, model)

    async def _versions_of_key(self, project: ProjectName, model: ModelName, key: ModelVersionId) -> list[int]:
        return await self._versions(project, f"name = '{model}' AND tags.`{KEY_TAG}` = '{key}'")

    async def _versions(self, project: ProjectName, where: str) -> list[int]:
        query = {"filter": where, "max_results": "100"}
        try:
            answer = await self._connection.get(project, "/model-versions/search", query)
            return sorted(whole(item.get("version")) for item in items(answer, "model_versions"))
        except MLflowRefused as refused:
            raise refused.explained("model version", project=project) from refused
        except Unreadable as error:
            raise unavailable("MLflow's list of model versions is not understood.") from error

    async def _ensure_model(self, project: ProjectName, model: ModelName) -> bool:
        """Make the registered model; False when it was there."""
        try:
            await self._connection.send("POST", project, "/registered-models/create", {"name": model})
        except MLflowRefused as refused:
            if refused.is_there_already:
                return False
            raise refused.explained("model", project=project) from refused
        return True

    async def _delete_if_empty(self, project: ProjectName, model: ModelName) -> None:
        if not await self._versions(project, f"name = '{model}'"):
            await self._delete(project, "/registered-models/delete", {"name": model})

    async def _delete(self, project: ProjectName, path: str, body: Mapping[str, Any]) -> None:
        try:
            await self._connection.send("DELETE", project, path, body)
        except MLflowRefused as refused:
            if not refused.is_missing:
                raise refused.explained("model version", project=project) from refused
