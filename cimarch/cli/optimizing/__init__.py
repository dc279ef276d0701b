"""What `cimarch optimize` is made of: flags from options, a run that can be stopped, its files."""
