"""I/O in: the URLs, the driver of failover, the pump of streams, and the pages for operators."""
