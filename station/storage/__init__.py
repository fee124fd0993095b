"""The records on disk: database, outbox, facts, migrations, storage lock."""
