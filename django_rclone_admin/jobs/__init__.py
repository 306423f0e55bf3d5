"""Jobs: carry out one run, from its claim on the database to its record and its signals."""
