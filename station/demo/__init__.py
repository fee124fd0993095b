"""`make demo`: a station, a CSMS, a house and a car, on one screen."""
