"""What meters show, and the legally relevant record of it."""
