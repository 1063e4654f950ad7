"""Self-supervised pretraining of image backbones on the frames of a catalog, without its labels."""
