"""The benchmark: from a file to a file, the routed engine beside what one would run otherwise."""
