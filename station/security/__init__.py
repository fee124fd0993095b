"""Certificates, passwords, network connection profiles, security events, accounts and file transfer."""
