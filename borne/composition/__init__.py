"""The composition root: builds the parts of a station, layer by layer."""
