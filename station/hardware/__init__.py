"""What a station is connected to: boards, token readers, lamps, and how firmware gets into it."""
