"""Backup of a station in one encrypted file, and its restore."""
