"""Routes of the local HTTP API, one module for each subject."""
