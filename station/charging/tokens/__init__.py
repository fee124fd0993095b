"""Presented id tokens: card readers, admission, feedback to the driver."""
