"""Features to logits: pure functions, batched over episodes."""
