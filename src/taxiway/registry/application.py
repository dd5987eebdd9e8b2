"""MLflow's ASGI application, with the garbage collector told what stays.

A search makes tens of thousands of objects, and with MLflow's modules in the heap a collection of everything takes
a tenth of a second: fifty runs of a hundred columns took 115 ms or 400 ms, as chance had it. What is there after the
import stays for good, so it is not looked through again.
"""

from __future__ import annotations

import gc

from mlflow.server.fastapi_app import app

__all__ = ["app"]

ALLOCATIONS_BEFORE_A_LOOK = 50_000

gc.collect()
gc.freeze()
gc.set_threshold(ALLOCATIONS_BEFORE_A_LOOK, 20, 50)
