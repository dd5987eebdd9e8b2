"""The program of the MLflow child: MLflow's own ASGI application under uvicorn, on a Unix socket and nothing else.

``mlflow server`` would import MLflow twice, once to start and once to serve: twice the memory, and 9.5 s instead of
4.9 s until it answers again after a kill (measured on two cores). So uvicorn runs here with the variables that
``mlflow server`` sets for it (``child.py``). Should a later MLflow rename them, it serves no artifacts rather than
others' (the integration tests would say so first).
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.importer import import_from_string

APPLICATION = "mlflow.server.fastapi_app:app"
ALLOCATIONS_BEFORE_A_LOOK = 50_000


def application() -> Any:
    """Return MLflow's application; what its import made is no longer looked through for garbage.

    A search makes thousands of objects, and to collect with all of MLflow in the heap takes a tenth of a second: the
    same fifty runs of a hundred columns took 115 ms or 400 ms, as chance had it.
    """
    found = import_from_string(APPLICATION)
    gc.collect()
    gc.freeze()
    gc.set_threshold(ALLOCATIONS_BEFORE_A_LOOK, 20, 50)
    return found


def main(socket: str, workers: str) -> None:
    """Serve until SIGTERM. A socket that a killed predecessor left would stop several workers from binding."""
    Path(socket).unlink(missing_ok=True)
    uvicorn.run(
        "taxiway.registry.serve:application",
        factory=True,
        uds=socket,
        workers=int(workers),
        access_log=False,
        server_header=False,
        proxy_headers=False,
        log_level="warning",
        timeout_graceful_shutdown=5,
        timeout_keep_alive=30,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
