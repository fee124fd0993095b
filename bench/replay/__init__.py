"""Replays household loads against the control law, its peers and an oracle: `make replay`."""
