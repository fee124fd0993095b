-- Monitors of variables that the CSMS has set (N04).
CREATE TABLE monitors (
    id INTEGER PRIMARY KEY,
    monitor TEXT NOT NULL       -- JSON
);

-- What the CSMS knows of each monitor, also of those of the program: whether its threshold is exceeded (N07.FR.14).
CREATE TABLE monitor_states (
    id INTEGER PRIMARY KEY,
    exceeded INTEGER NOT NULL,
    reference TEXT              -- of a Delta monitor: the value last reported
);

-- Events of monitors that wait for the CSMS (N07.FR.04, N08.FR.03).
CREATE TABLE monitoring_events (
    number INTEGER PRIMARY KEY, -- their order
    event TEXT NOT NULL         -- JSON
);
