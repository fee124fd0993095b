-- The security log (A04.FR.04), which is also the queue of critical events that the CSMS has not taken yet.
CREATE TABLE security_events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    type TEXT NOT NULL,
    occurred_at TEXT NOT NULL,
    info TEXT NOT NULL,
    to_tell INTEGER NOT NULL    -- 1: critical, and waits for the CSMS
);
CREATE INDEX security_events_to_tell ON security_events (id) WHERE to_tell = 1;
