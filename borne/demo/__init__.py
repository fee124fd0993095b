"""`borne demo`: a station, a CSMS, a house and a vehicle on one screen."""
