"""Benchmarks, each beside the bare floor that the same run measures."""
