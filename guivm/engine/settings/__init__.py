"""Reading, checking and applying the settings of a VM. Worker only."""
