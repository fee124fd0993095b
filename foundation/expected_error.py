"""`ExpectedError`: the base class of the exceptions by which hardware, storage and network fail.

Each border of the program has one of its own, raised by the driver of what is beyond, and handled where it is used:

    ExpectedError
    ├── BoardError               the board of an EVSE
    ├── MeterError               a meter
    ├── SourceError              a source of samples of the house connection
    ├── StreamError              the line or the socket of such a source
    ├── ReaderError              a card reader
    ├── UnsafeOutputError        a board's outputs after its bring-up, perhaps not in the safe state
    ├── VehicleLinkError         what speaks ISO 15118 with a vehicle (the SECC)
    ├── SeccProtocolError        the lines of an SECC in a process of its own
    ├── DisplayError             a display
    ├── LightError               the status light
    ├── InstallError             the installer of firmware
    ├── StorageError             the database
    ├── StorageLockError         the lock on the storage, which another process holds
    ├── NewerDatabaseError       a database of a newer version
    ├── StoredValueError         a stored value that cannot be read
    ├── JournalError             the register journal
    ├── SigningKeyError          the file of a signing key
    ├── SigningError             signed readings
    ├── DocumentError            the process that draws documents
    ├── NoAnswerError            the CSMS
    ├── TransferError            a server of files
    ├── InvalidCertificateError  the certificates of others
    ├── BackupError              a backup or a restore that is refused
    ├── ResetNotSafeError        what a factory reset must wait for: an open contactor, the end of a transaction
    ├── RegisterError            the register file of a simulated meter
    ├── BillStoreError           the bills of the bundled CSMS
    ├── PkiError                 the folder of a test PKI
    └── NotConnectedError        the stations of the bundled CSMS

Some have subclasses, which say more. An `OSError` is expected as well; any other exception is an error of the program.
"""

from __future__ import annotations


class ExpectedError(Exception):
    """Hardware, storage or network failed; the message says how. Supervision logs it without a traceback."""
