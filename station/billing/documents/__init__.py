"""Documents for people as PDF and CSV: receipts and monthly reports."""
