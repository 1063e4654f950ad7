"""Pictures and playable copies of videos for a page in a browser."""
