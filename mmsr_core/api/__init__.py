"""What Python programs use: a model that is opened once and takes any kind of picture."""
