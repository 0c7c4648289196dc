"""Every known shape of failure, and real outages in fast motion, under concurrent clients that use the real SDK."""
