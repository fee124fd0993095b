"""What a charge costs, by whose prices, and the log of charges for people."""
