"""What an agent has on the host besides its container: directories, socket, port, what is kept of the destroyed."""
