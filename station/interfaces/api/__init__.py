"""Routes of the local HTTP API, one file a subject."""
