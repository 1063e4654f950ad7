"""Where and when a trained network saw a class."""
