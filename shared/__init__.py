"""What every room may know: row types, tables, partition paths, clock, errors, durable files, logging."""
