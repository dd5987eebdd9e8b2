"""Failures, kills and damage, provoked on a running platform through its public API."""
