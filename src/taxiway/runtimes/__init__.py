"""Where pods run: adapters of the port Runtime, one package each."""
