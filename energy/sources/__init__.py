"""Where readings of the house connection and orders of the grid operator come from: one file for each kind."""
