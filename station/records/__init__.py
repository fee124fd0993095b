"""What is on disk: the record of events that is the queue, and the facts that outlive a power cut."""
