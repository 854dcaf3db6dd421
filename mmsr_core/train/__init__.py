"""Training: a recipe and photographs in, a resumable run directory out."""
