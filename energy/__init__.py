"""Current limits of each EVSE and their reasons: charging profiles, load balancing, tariffs, surplus."""
