"""The domain model of the station, the kinds of settings, and the interfaces between the station and its hardware."""
