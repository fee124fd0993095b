"""The billing meters: which they are, what they showed, signed and in the register journal."""
