"""What a simulated station does wrong on purpose, so that a CSMS can be tested against it."""
