"""Records how a simulated station is driven, and writes scenarios from that."""
