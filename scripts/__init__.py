"""Composition roots: parse arguments, load settings, wire, run. `daedalus` is the one command line."""
