"""The device side of each protocol, sans I/O: commands in, answers and packets out."""
