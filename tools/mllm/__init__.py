"""Multimodal language models: LLaVA through transformers, label scoring, grammar."""
