"""The installation file: its tables, rules, errors and example."""
