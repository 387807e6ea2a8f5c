"""One family of features per module: being here is all it takes to be computed, listed and documented."""
