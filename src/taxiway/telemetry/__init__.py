"""Metrics and logs of the control plane."""
