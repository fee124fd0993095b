-- What was signed, for as long as a bill may be disputed: nothing here is ever changed or deleted. The pages of a key
-- count up by one, without a gap, in each context: T of transactions, F of the meter alone.
CREATE TABLE signing_keys (
    fingerprint TEXT PRIMARY KEY,   -- SHA-256 of the key as SubjectPublicKeyInfo, in hex
    evse_id INTEGER NOT NULL,
    signer TEXT NOT NULL,           -- station or meter
    spki BLOB NOT NULL,
    since TEXT NOT NULL
);
CREATE TABLE signed_records (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    evse_id INTEGER NOT NULL,
    fingerprint TEXT NOT NULL REFERENCES signing_keys (fingerprint),
    context TEXT NOT NULL,
    page INTEGER NOT NULL,
    transaction_id TEXT,            -- NULL: of the meter alone
    reason TEXT NOT NULL,           -- TX of its last reading: B begins, C and T are between, the others end
    taken_at TEXT NOT NULL,
    energy_wh REAL,                 -- the register in it
    record TEXT NOT NULL,
    UNIQUE (fingerprint, context, page)
);
CREATE INDEX signed_records_of_transaction ON signed_records (transaction_id);
