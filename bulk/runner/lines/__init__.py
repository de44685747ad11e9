"""Lines: the requests of a batch's input file, run as jobs and answered in the form of their interface."""
