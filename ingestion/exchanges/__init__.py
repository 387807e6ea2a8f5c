"""One exchange per file, pure: what to send, how to read what comes, which rules its numbers keep."""
