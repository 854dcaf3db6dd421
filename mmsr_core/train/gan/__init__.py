"""The GAN phase: losses, the match of two networks, and what a perceptual loss looks through."""
