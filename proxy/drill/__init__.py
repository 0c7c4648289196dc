"""`hotspare drill`: an outage on purpose, from its order to its report. The fault itself is made in the proxy."""
