"""The status light: what it has to tell, and what shows it."""
