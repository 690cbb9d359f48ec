"""Hosts to test on, made on one machine: namespaces, booted systems, what is measured on them."""
