"""Commissioning by the installer and activation by the owner."""
