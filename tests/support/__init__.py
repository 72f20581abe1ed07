"""What tests build on: models, shards, stores, processes."""
