"""`borne scenario`: plays scenarios with stations of this process, or a running one, and writes their reports."""
