"""The client against a real API over real sockets; what workers do is done to the rows."""
