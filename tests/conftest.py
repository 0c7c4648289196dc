"""Settings for the whole suite."""

from hypothesis import settings

# A shared two-core machine pauses whole processes: how long one example takes says nothing about the code.
settings.register_profile("hotspare", deadline=None, max_examples=100)
settings.load_profile("hotspare")
