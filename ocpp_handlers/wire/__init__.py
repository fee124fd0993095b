"""OCPP-J: frames, schemas, message types, sessions."""
