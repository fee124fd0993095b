"""The page on which a simulated station is operated, in English: it is for test benches."""
