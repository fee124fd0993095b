-- The record of transactions, which is also the queue of what the CSMS has not answered yet.
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    transaction_id TEXT NOT NULL,
    seq_no INTEGER NOT NULL,
    evse_id INTEGER NOT NULL,
    event_type TEXT NOT NULL CHECK (event_type IN ('Started', 'Updated', 'Ended')),
    occurred_at TEXT NOT NULL,
    offline INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    settled_at TEXT,            -- when the CSMS answered, or the event was given up; NULL: to be delivered
    given_up INTEGER NOT NULL DEFAULT 0,
    payload TEXT NOT NULL,      -- the event itself, as JSON
    UNIQUE (transaction_id, seq_no)
);
CREATE INDEX events_to_deliver ON events (id) WHERE settled_at IS NULL;
CREATE INDEX events_of_evse ON events (evse_id, event_type);

-- Samples taken during a transaction that belong into its Ended event (TxEndedInterval).
CREATE TABLE ended_samples (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    transaction_id TEXT NOT NULL,
    payload TEXT NOT NULL
);
CREATE INDEX ended_samples_of_transaction ON ended_samples (transaction_id);

-- What an operator changed at run time; a setting that is not here has its default.
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- The authorization cache (C10).
CREATE TABLE authorization_cache (
    token TEXT NOT NULL,        -- folded: identifierString ignores case
    type TEXT NOT NULL,
    info TEXT NOT NULL,         -- IdTokenInfo as JSON
    updated_at TEXT NOT NULL,
    PRIMARY KEY (token, type)
) WITHOUT ROWID;

-- Charging profiles persist across reboots (K01.FR.27).
CREATE TABLE charging_profiles (id INTEGER PRIMARY KEY, payload TEXT NOT NULL);

-- Small facts that must outlive a power cut, such as an ordered availability (G03.FR.08).
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
