"""Bronze to silver to gold: pure transforms, and the executor that feeds, publishes and checkpoints them."""
