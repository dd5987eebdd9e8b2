"""What we remember. The only SQL of the project; every function takes an open transaction."""
