"""Benchmarks, each compared with a minimal baseline measured in the same run."""
