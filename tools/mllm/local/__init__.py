"""A LLaVA on this machine through transformers: scoring, caches, batches, grammar."""
