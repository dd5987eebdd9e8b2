"""What makes it so: one controller a noun. Each loads, decides (in the domain), acts, and records."""
