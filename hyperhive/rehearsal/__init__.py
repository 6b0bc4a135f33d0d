"""A scripted stand-in for the model's Messages API, so that a whole hive runs without a key."""
