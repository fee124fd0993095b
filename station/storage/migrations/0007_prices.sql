-- A transaction keeps the prices of its begin: they are copied in the same write, so that none can slip in between.
-- What the owner asks (prices/list) outweighs what the installation file asks (prices/installed); empty: nothing.
DROP TRIGGER transaction_begins;
CREATE TRIGGER transaction_begins AFTER INSERT ON events WHEN NEW.event_type = 'Started' BEGIN
    INSERT OR IGNORE INTO transactions (transaction_id, evse_id, began_at, begin_wh, begin_read_at, begin_time,
        begin_substitute, prices)
    VALUES (NEW.transaction_id, NEW.evse_id, NEW.occurred_at,
        json_extract(NEW.payload, '$.register.energy_import_wh'), json_extract(NEW.payload, '$.register.taken_at'),
        json_extract(NEW.payload, '$.register.time'), json_extract(NEW.payload, '$.register.substitute'),
        (SELECT NULLIF(value, '') FROM facts WHERE name IN ('prices/list', 'prices/installed')
            ORDER BY name DESC LIMIT 1));
END;
