"""What the caller's camera shows, in a sentence for the prompt (paper A.3, visual perception)."""
