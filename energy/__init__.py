"""How much current each EVSE may draw, and why."""
