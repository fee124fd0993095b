"""Documents for people: receipts, monthly reports and tables, made of what is on record; pure, and loaded late."""
