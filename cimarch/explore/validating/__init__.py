"""What is published of reference chips, beside cimarch's numbers."""
