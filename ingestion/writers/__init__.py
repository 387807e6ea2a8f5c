"""The journal, and how it becomes ready files whatever a crash falls between."""
