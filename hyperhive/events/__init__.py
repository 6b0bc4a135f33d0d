"""What happened: the facts, their envelope, the codec, and the log that keeps them."""
