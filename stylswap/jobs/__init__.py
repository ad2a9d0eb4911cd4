"""The verbs: straight lines that call down into everything else."""
