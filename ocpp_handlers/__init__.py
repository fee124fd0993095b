"""The station's side of OCPP 2.0.1: it translates, and decides nothing about charging."""
