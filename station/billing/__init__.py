"""Prices and costs, the transaction log, the register journal of the billing meters, receipts."""
