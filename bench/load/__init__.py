"""End to end: a real server process on one core, load from another, over real sockets."""
