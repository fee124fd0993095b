-- Whether a transaction was the installer's test session: its energy is nobody's charge. NULL: it was not, or it was
-- recorded before this was known.
ALTER TABLE transactions ADD COLUMN test_session INTEGER;
DROP TRIGGER transaction_begins;
CREATE TRIGGER transaction_begins AFTER INSERT ON events WHEN NEW.event_type = 'Started' BEGIN
    INSERT OR IGNORE INTO transactions (transaction_id, evse_id, began_at, begin_wh, begin_read_at, begin_time,
        begin_substitute, prices, test_session)
    VALUES (NEW.transaction_id, NEW.evse_id, NEW.occurred_at,
        json_extract(NEW.payload, '$.register.energy_import_wh'), json_extract(NEW.payload, '$.register.taken_at'),
        json_extract(NEW.payload, '$.register.time'), json_extract(NEW.payload, '$.register.substitute'),
        (SELECT NULLIF(value, '') FROM facts WHERE name IN ('prices/list', 'prices/installed')
            ORDER BY name DESC LIMIT 1),
        NULLIF(json_extract(NEW.payload, '$.test_session'), 0));
END;

-- It began with the vehicle, and the installer authorized it later.
CREATE TRIGGER transaction_becomes_a_test AFTER INSERT ON events
WHEN NEW.event_type <> 'Started' AND json_extract(NEW.payload, '$.test_session') BEGIN
    UPDATE transactions SET test_session = 1 WHERE transaction_id = NEW.transaction_id;
END;
