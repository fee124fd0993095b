-- Firmware updates: what was ordered, and every status entered (L01, L02). The newest update is the one under way.
CREATE TABLE firmware_updates (id INTEGER PRIMARY KEY AUTOINCREMENT, payload TEXT NOT NULL);

-- Entering a status is one row: the last one says how far the update is, the untold ones are the queue to the CSMS.
CREATE TABLE firmware_statuses (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    update_id INTEGER NOT NULL,
    request_id INTEGER NOT NULL,
    status TEXT NOT NULL,
    told INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX firmware_statuses_untold ON firmware_statuses (id) WHERE told = 0;
