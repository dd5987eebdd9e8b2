"""MLflow behind us: the child, tracking, the registry, what is read of a model's files, and the way in for clients."""
