-- The log of transactions for people, which outlives the events that it is made of. Triggers keep it: what is
-- recorded of a transaction and its line here are one write.
CREATE TABLE transactions (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    transaction_id TEXT NOT NULL UNIQUE,
    evse_id INTEGER NOT NULL,
    token TEXT,
    token_type TEXT,
    began_at TEXT NOT NULL,
    ended_at TEXT,              -- NULL: it goes on
    stopped_reason TEXT,
    begin_wh REAL,              -- the register; NULL: the meter was never read
    begin_read_at TEXT,
    begin_time TEXT,            -- how good the time is, in the letters of OCMF
    begin_substitute INTEGER,   -- 1: the meter was silent, and this is what it showed last
    end_wh REAL,
    end_read_at TEXT,
    end_time TEXT,
    end_substitute INTEGER,
    charging_s INTEGER,         -- how long energy flowed
    corrected_s REAL,           -- it began without a known time; so much was added later
    meter_serial TEXT,
    prices TEXT,                -- the price list at the begin, as JSON
    bill TEXT                   -- what it cost, as JSON
);
CREATE INDEX transactions_by_time ON transactions (began_at);
CREATE INDEX transactions_by_token ON transactions (token COLLATE NOCASE, began_at);
CREATE INDEX transactions_by_evse ON transactions (evse_id, began_at);
CREATE INDEX transactions_open ON transactions (number) WHERE ended_at IS NULL;

-- Where one tariff period of a transaction ends and the next begins, with the register in between.
CREATE TABLE tariff_readings (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    transaction_id TEXT NOT NULL,
    at TEXT NOT NULL,
    period TEXT NOT NULL,       -- the one that begins
    energy_wh REAL              -- NULL: the meter was silent
);
CREATE INDEX tariff_readings_of_transaction ON tariff_readings (transaction_id);

CREATE TRIGGER transaction_begins AFTER INSERT ON events WHEN NEW.event_type = 'Started' BEGIN
    INSERT OR IGNORE INTO transactions (transaction_id, evse_id, began_at, begin_wh, begin_read_at, begin_time,
        begin_substitute)
    VALUES (NEW.transaction_id, NEW.evse_id, NEW.occurred_at,
        json_extract(NEW.payload, '$.register.energy_import_wh'), json_extract(NEW.payload, '$.register.taken_at'),
        json_extract(NEW.payload, '$.register.time'), json_extract(NEW.payload, '$.register.substitute'));
END;

CREATE TRIGGER transaction_is_somebodys AFTER INSERT ON events
WHEN json_extract(NEW.payload, '$.id_token.value') IS NOT NULL BEGIN
    UPDATE transactions SET token = json_extract(NEW.payload, '$.id_token.value'),
        token_type = json_extract(NEW.payload, '$.id_token.type')
    WHERE transaction_id = NEW.transaction_id AND token IS NULL;
END;

CREATE TRIGGER transaction_ends AFTER INSERT ON events WHEN NEW.event_type = 'Ended' BEGIN
    UPDATE transactions SET ended_at = NEW.occurred_at,
        stopped_reason = json_extract(NEW.payload, '$.stopped_reason'),
        end_wh = json_extract(NEW.payload, '$.register.energy_import_wh'),
        end_read_at = json_extract(NEW.payload, '$.register.taken_at'),
        end_time = json_extract(NEW.payload, '$.register.time'),
        end_substitute = json_extract(NEW.payload, '$.register.substitute'),
        charging_s = json_extract(NEW.payload, '$.time_spent_charging_s')
    WHERE transaction_id = NEW.transaction_id;
END;

-- What was recorded before there was this log: the register is the one that the CSMS was told.
CREATE TEMP VIEW recorded AS SELECT id, transaction_id, evse_id, event_type, occurred_at, payload,
    (SELECT json_extract(sample.value, '$.value')
        FROM json_each(payload, '$.meter_values') AS taken, json_each(taken.value, '$.samples') AS sample
        WHERE json_extract(sample.value, '$.measurand') = 'Energy.Active.Import.Register'
        AND json_extract(sample.value, '$.phase') IS NULL
        ORDER BY taken.key DESC LIMIT 1) AS register_wh
    FROM events;
INSERT INTO transactions (transaction_id, evse_id, token, token_type, began_at, begin_wh)
    SELECT transaction_id, evse_id,
        (SELECT json_extract(payload, '$.id_token.value') FROM events AS e WHERE e.transaction_id = s.transaction_id
            AND json_extract(payload, '$.id_token.value') IS NOT NULL ORDER BY e.id LIMIT 1),
        (SELECT json_extract(payload, '$.id_token.type') FROM events AS e WHERE e.transaction_id = s.transaction_id
            AND json_extract(payload, '$.id_token.value') IS NOT NULL ORDER BY e.id LIMIT 1),
        occurred_at, register_wh
    FROM recorded AS s WHERE event_type = 'Started' ORDER BY id;
UPDATE transactions SET (ended_at, stopped_reason, end_wh, charging_s) = (
        SELECT occurred_at, json_extract(payload, '$.stopped_reason'), register_wh,
            json_extract(payload, '$.time_spent_charging_s')
        FROM recorded AS e WHERE e.event_type = 'Ended' AND e.transaction_id = transactions.transaction_id)
    WHERE transaction_id IN (SELECT transaction_id FROM events WHERE event_type = 'Ended');
DROP VIEW temp.recorded;
