"""Taxiway: from the run that made a model to production traffic."""
