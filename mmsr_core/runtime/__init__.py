"""What a deployment machine runs: images, tiles, plans, bundles, sessions, the engine."""
