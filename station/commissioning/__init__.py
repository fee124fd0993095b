"""How a station comes into service: the installer's steps, and the owner's activation."""
