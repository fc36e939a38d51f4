"""Audio tokens of GLM-4-Voice to speech: tokens to mel (flow), mel to samples (HiFT), in a stream.

Dimension letters: B batch, N tokens, F mel frames, M mel bins (80), C channels, H heads, E head
width, L samples at 22 050 Hz.

Source: GLM-4-Voice (arXiv 2412.02612), whose decoder is CosyVoice's (arXiv 2407.05407): conditional
flow matching in the U-Net of Matcha-TTS (arXiv 2309.03199), then HiFT-Net (arXiv 2309.09493).
"""
