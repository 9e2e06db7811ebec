"""The same small application, written once for each peer."""
