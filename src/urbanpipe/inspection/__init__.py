"""From trained models and new videos to what is in them."""
