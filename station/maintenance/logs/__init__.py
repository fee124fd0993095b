"""The station's logs: where lines go, the stored log, and uploads to the CSMS."""
