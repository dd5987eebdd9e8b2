"""A program: serves every model below a directory twice, by MLflow's own scoring server and by ours.

``servers.py mlflow|ours <models> <sockets>``: one Unix socket a model; prints ``ready`` when all of them answer.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any


async def serve_mlflow(models: list[Path], sockets: Path) -> None:
    import mlflow.pyfunc
    import uvicorn
    from mlflow.pyfunc import scoring_server

    servers = []
    for model in models:
        app: Any = scoring_server.init(mlflow.pyfunc.load_model(str(model)))
        config = uvicorn.Config(app, uds=str(sockets / model.name), log_level="error", lifespan="off")
        servers.append(uvicorn.Server(config))
    running = [asyncio.create_task(server.serve()) for server in servers]
    while not all(server.started for server in servers):
        await asyncio.sleep(0.02)
    print("ready", flush=True)
    await asyncio.gather(*running)


async def serve_ours(models: list[Path], sockets: Path) -> None:
    from taxiway_scoring.__main__ import load, read_model
    from taxiway_scoring.app import Identity, Limits, ScoringApp
    from taxiway_scoring.proof import prove
    from taxiway_scoring.server import ServerLimits, listen
    from taxiway_scoring.serving import Loaded, choose
    from taxiway_scoring.workers import bind

    for model in models:
        metadata, contract = read_model(model)
        generic, example = load(model, metadata, contract, {})
        proof = prove(model, metadata, contract, generic.predictor, example, seed=1)
        served = choose(Loaded.of(model, metadata, contract), proof)
        identity = Identity("pod-1", "revision-1", model.name, "1")
        app = ScoringApp(identity=identity, contract=contract, limits=Limits(), example=example)
        app.install(served.predictor, served.rows)
        if example is not None:
            app.score(served.predictor, example, "application/json")
        app.is_ready = True
        await listen(app, ServerLimits(), bind(socket_path=str(sockets / model.name)))
    print("ready", flush=True)
    await asyncio.Event().wait()


def main() -> None:
    which, models, sockets = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    folders = sorted(path.parent for path in models.glob("*/MLmodel"))
    asyncio.run((serve_mlflow if which == "mlflow" else serve_ours)(folders, sockets))


if __name__ == "__main__":
    main()
