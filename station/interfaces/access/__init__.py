"""Access control of the local API and page: who asks, what they may do and see."""
