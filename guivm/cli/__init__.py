"""The command line: parses, asks the engine the same requests as the window, prints, answers an exit code.

``main`` puts the verbs together, each group of which has a module; ``verbs`` is what they have in common, ``session``
what they work with, ``output`` how they print.
"""
