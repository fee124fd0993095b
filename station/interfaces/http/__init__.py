"""The HTTP server: accepting connections, limits on them, TLS."""
