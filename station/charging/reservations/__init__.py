"""Reservations of EVSEs for id tokens (OCPP 2.0.1 block H)."""
