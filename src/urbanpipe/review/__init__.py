"""The review app: people look at each proposal in a browser and decide; their decisions go into a store."""
