-- The local authorization list (D01). Its version and its size are stored in the same database transaction as its rows.
CREATE TABLE local_list (
    token TEXT NOT NULL,        -- folded: identifierString ignores case
    type TEXT NOT NULL,
    info TEXT NOT NULL,         -- IdTokenInfo as JSON, without attributes that have their default
    PRIMARY KEY (token, type)
) WITHOUT ROWID;
CREATE TABLE local_list_state (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    version INTEGER NOT NULL,   -- versionNumber of the last update
    entries INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL
);
