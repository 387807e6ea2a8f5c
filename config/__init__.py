"""One settings tree, one loader, one example file; read by `scripts` alone and handed on as plain values."""
