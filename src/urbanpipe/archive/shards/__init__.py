"""Archives of many videos: a manifest in shards, workers on several machines, and results in a few files per shard."""
