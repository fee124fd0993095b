"""A public-key infrastructure for tests: authorities of V2G, mobility operator and CSMS, contracts, OCSP responder."""
