"""What people type: commands over runtime.py, nothing else."""
