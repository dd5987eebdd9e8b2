"""What people can ask: one function an intention. A change, its event and its audit entry are one transaction."""
