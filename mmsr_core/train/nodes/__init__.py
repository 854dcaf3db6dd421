"""Training beyond one device: ranks of one expert, experts on the nodes of a cluster."""
