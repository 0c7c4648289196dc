"""What operators see. The rooms that act publish one frozen fact each; sinks make metrics and log lines of it."""
