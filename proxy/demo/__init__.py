"""`hotspare demo`: an outage in one terminal, with neither key nor network. Only the cloud is pretended."""
