"""A small CSMS for the demonstration and for test benches."""
