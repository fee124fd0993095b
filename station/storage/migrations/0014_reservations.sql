-- Reservations (OCPP 2.0.1 block H): those that wait for their holder, and ends that the CSMS has not been told yet.
CREATE TABLE reservations (
    number INTEGER PRIMARY KEY AUTOINCREMENT, -- in the order of acceptance
    reservation_id INTEGER NOT NULL,
    ended TEXT,                               -- NULL: it waits; else Expired or Removed, to be reported
    payload TEXT NOT NULL                     -- for whom, until when, which EVSEs; {} once it has ended
);

-- The event that tells the CSMS of the use of a reservation removes it: both are stored, or neither.
CREATE TRIGGER reservation_is_used AFTER INSERT ON events
WHEN json_extract(NEW.payload, '$.reservation_id') IS NOT NULL BEGIN
    DELETE FROM reservations
    WHERE reservation_id = json_extract(NEW.payload, '$.reservation_id') AND ended IS NULL;
END;
