"""SLURM: slots are tasks of job arrays."""
