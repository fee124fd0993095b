"""How much current each EVSE may draw, and why: limits, charging profiles, load balancing, tariffs, surplus."""
