"""The station's logs: setup of log output, the stored log, and uploads to the CSMS."""
