"""The connection to the CSMS: dialling, TLS, boot, delivery of recorded events."""
