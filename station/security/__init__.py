"""Who the station is, whom it trusts, and what it has to tell of attempts on it."""
