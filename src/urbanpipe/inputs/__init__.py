"""What a method sees of a video: which frames, how they are augmented, how they are put together."""
