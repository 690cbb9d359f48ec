"""The proof: promises about aliases, each a line, measured on hosts of their own."""
