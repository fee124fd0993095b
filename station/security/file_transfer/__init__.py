"""File transfer to and from servers of the CSMS: HTTP(S), FTP(S) and SFTP."""
