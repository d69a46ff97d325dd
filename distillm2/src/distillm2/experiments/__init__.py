"""What surrounds a training run: the memory plan before it, loops and sweeps over many."""
