"""A run of the library in another process, seen from the program that starts it."""
