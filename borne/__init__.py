"""The program: command line, composition of a station, the process around it, demonstration."""
