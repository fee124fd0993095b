"""EVSEs at work: state machine, board driver, transactions, sampling, recording, authorization."""
