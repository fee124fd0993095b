"""Domain values ↔ objects of OCPP messages."""
