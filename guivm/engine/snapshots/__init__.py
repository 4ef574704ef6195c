"""Snapshots, clones, templates and disposable runs: every change of a file is a plan first. No Qt."""
