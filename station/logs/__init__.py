"""What the station writes about itself, and how it reaches the CSMS."""
