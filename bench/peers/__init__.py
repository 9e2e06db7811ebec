"""The servers of the comparison, one short file for each."""
