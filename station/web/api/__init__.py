"""What of the station is shown and done through the local API, by what it is about."""
