"""Vehicles that communicate (ISO 15118): sessions, contracts, schedules, contract certificates, recognized vehicles."""
