"""Common ground of all packages: time, events, task supervision, value classes, constants. Nothing about charging."""
