"""The local HTTP API and page."""
