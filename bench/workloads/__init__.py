"""What is asked of the servers, one short file for each kind."""
