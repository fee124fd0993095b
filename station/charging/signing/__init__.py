"""Signed meter readings: signing by meter or station, and the stored signed records."""
