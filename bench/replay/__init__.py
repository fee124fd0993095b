"""Replays household loads with this project's controller, peer controllers and an oracle: `make replay`."""
