"""Measurements behind what the code and the documentation claim. Run by ``make bench``, never by ``make test``."""
