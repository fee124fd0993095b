"""Accounts of users and scripts: passwords, sessions, access tokens, limits on sign-in attempts."""
