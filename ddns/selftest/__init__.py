"""What a maker of gateways checks his boxes with: a registry in the lab that watches, and tells what a box did.

The registry is the real one, on a database of its own; what stands before it writes down every octet, and makes the
trouble that a box has to stand: a stranger in the registry's place, a registry that is busy, answers that get lost.
What is to be thought of it is a table of checks, each a pure function of what was written down. Start reading at
`catalogue` for the checks and at `session` for how they come about.
"""
