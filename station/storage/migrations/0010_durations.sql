-- How long a transaction lasted, measured by a clock that nobody sets: the difference of its two times is not that when
-- the wall time was corrected in between. NULL: it was recorded before this was measured.
ALTER TABLE transactions ADD COLUMN lasted_s REAL;
DROP TRIGGER transaction_ends;
CREATE TRIGGER transaction_ends AFTER INSERT ON events WHEN NEW.event_type = 'Ended' BEGIN
    UPDATE transactions SET ended_at = NEW.occurred_at,
        stopped_reason = json_extract(NEW.payload, '$.stopped_reason'),
        end_wh = json_extract(NEW.payload, '$.register.energy_import_wh'),
        end_read_at = json_extract(NEW.payload, '$.register.taken_at'),
        end_time = json_extract(NEW.payload, '$.register.time'),
        end_substitute = json_extract(NEW.payload, '$.register.substitute'),
        charging_s = json_extract(NEW.payload, '$.time_spent_charging_s'),
        lasted_s = json_extract(NEW.payload, '$.lasted_s')
    WHERE transaction_id = NEW.transaction_id;
END;
