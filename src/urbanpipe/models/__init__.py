"""Networks: an image backbone, a head, and the methods made of them. Plain modules that know nothing of training."""
