"""I/O out: one attempt, the live upstreams, probes, and supervision of the model server."""
