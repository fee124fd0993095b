-- What the authorization cache needs to know to make room (AuthCacheCtrlr.Policy). NULL: as updated_at.
ALTER TABLE authorization_cache ADD COLUMN stored_at TEXT;
ALTER TABLE authorization_cache ADD COLUMN used_at TEXT;
ALTER TABLE authorization_cache ADD COLUMN uses INTEGER NOT NULL DEFAULT 1;
