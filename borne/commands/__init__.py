"""The commands of the command line, one module for each group; borne/cli.py loads the group that is called."""
