"""Jobs: carry out one run, from its lock to its record and its signals."""
