"""On-screen text: read from a few frames of a video, for inspection data and the region of the distance."""
