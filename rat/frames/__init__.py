"""The DataValue frame protocol without I/O: bytes in, events out."""
