"""What limits the current: load management, charging profiles, heat, and limits from outside."""
