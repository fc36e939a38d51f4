"""GLM-4-Voice as the Thinker: speech tokens in, interleaved text and speech tokens out.

Read in this order: geometry, hub_layout, checkpoint, convert (weights); speech/ (the caller's
voice to tokens); tokenizer, prompt, dialogue (what the model reads); slot_cache, decoder, sampler,
generation, token_thread (how it answers); segmenter, reply, mind, engine (how answers leave).
"""
