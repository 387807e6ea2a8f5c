"""`daedalus demo`: the whole system on this machine, killed and proven."""
