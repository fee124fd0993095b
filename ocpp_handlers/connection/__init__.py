"""The connection to the CSMS: connecting, TLS, boot, delivery of recorded events."""
