"""Routes below /api/sim: what a test bench does to simulated hardware."""
