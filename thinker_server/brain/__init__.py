"""Chat models behind one interface: any Hugging Face causal LM, or an OpenAI-compatible server."""
