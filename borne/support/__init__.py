"""What the commands for operation and support use: status, logs, backup and restore of the station on this machine."""
