"""An SECC in a process of its own: the protocol on its socket, and the station's side of it."""
