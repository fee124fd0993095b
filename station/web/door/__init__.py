"""Who comes in at the local API and page, and what they may do and see."""
