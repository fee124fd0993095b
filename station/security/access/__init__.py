"""Accounts of people and scripts: passwords, sessions, access tokens, limits on sign-in attempts."""
