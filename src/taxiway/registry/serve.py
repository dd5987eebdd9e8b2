"""The program of the MLflow child: MLflow's own ASGI application under uvicorn, on a Unix socket and nothing else.

``mlflow server`` would import MLflow twice, once to start and once to serve: twice the memory, and 9.5 s instead of
4.9 s until it answers again after a kill (measured on two cores). So uvicorn runs here with the variables that
``mlflow server`` sets for it (``child.py``). Should a later MLflow rename them, it serves no artifacts rather than
others' (the integration tests would say so first).
"""

from __future__ import annotations

import sys
from pathlib import Path

import uvicorn

APPLICATION = "taxiway.registry.application:app"


def main(socket: str, workers: str) -> None:
    """Serve until SIGTERM. A socket that a killed predecessor left would stop several workers from binding."""
    Path(socket).unlink(missing_ok=True)
    uvicorn.run(
        APPLICATION,
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
