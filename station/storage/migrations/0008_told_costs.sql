-- What the CSMS said that a transaction cost in all (OCPP 2.0.1 I03), besides what the owner's own prices make of it.
ALTER TABLE transactions ADD COLUMN told_cost TEXT;         -- a decimal number
ALTER TABLE transactions ADD COLUMN told_currency TEXT;
