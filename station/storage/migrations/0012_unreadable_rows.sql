-- Rows that this version of the program cannot read. Each stays in its own table; it is listed here until it can be read
-- again, or until it is no longer there.
CREATE TABLE unreadable_rows (
    source TEXT NOT NULL,       -- its table; with a point and a column where only that column cannot be read
    row_key TEXT NOT NULL,      -- its primary key there
    transaction_id TEXT,
    seq_no INTEGER,
    problem TEXT NOT NULL,      -- which field is missing or wrong
    found_at TEXT NOT NULL,
    reported INTEGER NOT NULL DEFAULT 0, -- 1: as a security event
    PRIMARY KEY (source, row_key)
) WITHOUT ROWID;

-- An end that cannot be read outlives the end that is recorded in its place.
DROP TRIGGER end_is_recorded;
CREATE TRIGGER end_is_recorded AFTER INSERT ON events WHEN NEW.event_type = 'Ended' BEGIN
    DELETE FROM awaited_ends WHERE transaction_id = NEW.transaction_id AND transaction_id NOT IN
        (SELECT row_key FROM unreadable_rows WHERE source = 'awaited_ends');
END;
