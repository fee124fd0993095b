"""Start of a charge: who requests it, and where and why it is possible or not."""
