"""The nouns of the station, its settings, and the contracts between the station and its hardware."""
