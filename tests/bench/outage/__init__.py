"""What an outage costs at the client: the time that is lost to it, and what still goes to the upstream that is down."""
