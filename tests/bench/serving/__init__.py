"""Servers of language models side by side, in one run: anything that speaks OpenAI's chat completions.

`python -m tests.bench.serving --help`. Each burst of clients goes to every server in turn, so that what disturbs the
machine disturbs them all. Servers that are launched here run one at a time.
"""
