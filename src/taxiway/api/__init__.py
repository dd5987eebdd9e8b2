"""The control API: what people and programs ask over HTTP. Thin: it reads, authorises, calls a service, shows."""
