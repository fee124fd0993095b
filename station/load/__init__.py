"""Limits on the current of the EVSEs: load management, charging profiles, protection, derating, owner and operator."""
