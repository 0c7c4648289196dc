"""Files whose format is slow to compute with on a CPU, converted once into one that is not."""
