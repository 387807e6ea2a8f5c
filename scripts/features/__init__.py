"""`daedalus features`: make, list and draw features."""
