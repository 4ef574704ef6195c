"""Session recordings: what a display's server sent, with its times, to be played again. No Qt."""
