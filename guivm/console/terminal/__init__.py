"""The widget that shows a serial line."""
