"""The runner of batches: validates files, runs their lines as jobs, and writes their output files."""
