"""Templates of strangers, rendered with a bounded amount of work.

Jinja's own sandbox keeps a template from reaching into Python. It does not keep it from `range` in `range`, from macros
that call themselves twice, or from a text of gigabytes. Here everything that takes time or memory is paid from a
budget: `rewrite` puts a charge in front of whatever repeats, `environment` and `functions` weigh what operators,
methods and filters are given before they work on it. What nobody's chat template uses is left out, so that what is
left can be read and believed.
"""
