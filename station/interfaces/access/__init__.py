"""Access control of the local API and page: identification of the visitor, permissions, visible data."""
