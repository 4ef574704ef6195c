"""Clones, templates and runs that are thrown away; beside :mod:`guivm.engine.snapshots`, which does the steps."""
