"""Signed meter readings: who signs, when, and the signed records on disk."""
