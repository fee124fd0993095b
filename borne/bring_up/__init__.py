"""Bring-up of a station: what its devices answer, and single outputs of its board, while the station is stopped."""
