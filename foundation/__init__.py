"""What every package stands on: time, events, task supervision, value classes, constants. Nothing about charging."""
