-- The messages that the CSMS has set for the displays (block O), each until it is replaced, cleared or ended.
CREATE TABLE display_messages (
    id INTEGER PRIMARY KEY,     -- the one that the CSMS gave it
    payload TEXT NOT NULL       -- JSON; `station/display/message_store.py` names its fields
);
