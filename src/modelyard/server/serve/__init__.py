"""The yard as a process: its home, its listening socket, the agent it keeps alive."""
