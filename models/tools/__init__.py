"""How models spell calls of tools: what they may write, and what was called in what they wrote. Pure."""
