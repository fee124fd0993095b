-- How many of all transactions are test sessions or without energy, without reading the whole table.
CREATE INDEX transactions_by_time_of_tests ON transactions (began_at) WHERE test_session IS NOT NULL;
CREATE INDEX transactions_by_time_without_energy ON transactions (began_at)
    WHERE test_session IS NULL AND ended_at IS NOT NULL AND end_wh = begin_wh
    AND COALESCE(begin_substitute, 0) = 0 AND COALESCE(end_substitute, 0) = 0;
