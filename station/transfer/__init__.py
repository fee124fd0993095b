"""The protocols by which files are moved: HTTP, FTP and SFTP, each with and without TLS where it has that."""
