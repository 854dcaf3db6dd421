"""Images in few bytes, by a learned transform: code maps, entropy coding, the container."""
