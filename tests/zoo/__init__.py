"""Models as data scientists log them: pipelines of many kinds, made from a seed, for proofs, fuzzing and benchmarks."""
