"""The base of the installation file's tables, and the tables about EVSEs and the grid connection."""
