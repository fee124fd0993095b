"""File transfer to and from a CSMS: HTTP, FTP and SFTP, each with and without TLS where it exists."""
