"""What a user brings: items, manifests, shards, tables in TOML."""
