"""From keyboard, mouse and touch to what the guest is told."""
