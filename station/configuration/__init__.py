"""The installation file: read, checked, and told about when it is wrong."""
