"""Interfaces of the hardware, and the rules of control pilot, proximity contact and current selector."""
