"""What was measured and what was logged, for graphs, rollouts and people."""
