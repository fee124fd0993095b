"""What makes it a good service of its machine: supervision, readiness, the watchdog's beat."""
