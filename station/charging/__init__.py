"""Operation of the EVSEs: state machine, board driver, transactions, sampling, recording, authorization."""
