"""The thread and the socket of one VNC console. No Qt."""
