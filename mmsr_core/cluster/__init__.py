"""Beyond one machine: a Ray cluster, and files that lie where all its nodes reach them."""
