"""Routes below /api/sim, with which a test bench controls the simulated hardware."""
