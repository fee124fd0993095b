"""The station's side of OCPP 2.0.1: translates messages, and makes no decision about charging."""
