"""`daedalus bars`: build, read, export and draw bars."""
