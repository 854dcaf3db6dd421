"""`mmsr serve`: pictures in and out over HTTP, and a page. It runs on a deployment machine."""
