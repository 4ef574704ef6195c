"""Snapshots, clones and templates of a VM: the page, its dialogs, its commands. Imported on first need."""
