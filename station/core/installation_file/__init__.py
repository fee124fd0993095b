"""Base model of the installation file's tables, and the tables for EVSEs and the grid connection."""
