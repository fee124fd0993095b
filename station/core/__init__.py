"""The domain model of the station, its settings, and the interfaces between the station and its hardware."""
