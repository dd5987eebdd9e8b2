"""Envoy and what configures it (port Gateway)."""

from taxiway.gateway.envoy import EnvoyGateway
from taxiway.gateway.limits import GatewayLimits, limits_of_host
from taxiway.gateway.start import envoy_child, find_envoy, write_bootstrap

__all__ = ["EnvoyGateway", "GatewayLimits", "envoy_child", "find_envoy", "limits_of_host", "write_bootstrap"]
