"""Programs that try what nobody thought of, for as long as they are told."""
