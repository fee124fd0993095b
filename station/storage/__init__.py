"""Persistent storage: database, outbox, facts, migrations, storage lock."""
