"""What the maintainers measure: servers side by side, what watching costs, imports, notebooks. `make bench` runs it."""
