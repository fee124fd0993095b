"""The station's side of OCPP 2.0.1: one file per functional block, and the link they share."""
