"""The charging station itself: it decides; OCPP only translates."""
