"""What all tests share: property tests draw the same examples on every machine."""

from hypothesis import settings

settings.register_profile("cimarch", deadline=None, derandomize=True, print_blob=False)
settings.load_profile("cimarch")
