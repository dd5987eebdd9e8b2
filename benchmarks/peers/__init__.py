"""Other model servers, each around the same MLflow model, each in an environment of its own."""
