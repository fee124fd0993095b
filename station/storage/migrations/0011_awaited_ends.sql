-- Ends of transactions that wait for what their meter shows: a power cut meanwhile must not forget how and when they
-- ended. Each goes with the write that records it.
CREATE TABLE awaited_ends (
    transaction_id TEXT PRIMARY KEY,
    payload TEXT NOT NULL       -- the event as JSON, as far as it was known
) WITHOUT ROWID;
CREATE TRIGGER end_is_recorded AFTER INSERT ON events WHEN NEW.event_type = 'Ended' BEGIN
    DELETE FROM awaited_ends WHERE transaction_id = NEW.transaction_id;
END;
