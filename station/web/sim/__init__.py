"""What a test bench does to simulated hardware, through the local API: everything below /api/sim/."""
