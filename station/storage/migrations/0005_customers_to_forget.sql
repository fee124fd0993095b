-- Id tokens whose records are to be made anonymous as soon as nobody needs them any more (N10.FR.03).
CREATE TABLE customers_to_forget (
    token TEXT NOT NULL,        -- folded, as in the authorization cache
    type TEXT NOT NULL,
    asked_at TEXT NOT NULL,     -- what was recorded later is another matter
    PRIMARY KEY (token, type)
) WITHOUT ROWID;
