"""From a folder of videos to the clips that an Actor of the paper's size learns from.

    python -m actor_server.training.curation --videos DIR --out DIR --for pretrain --models FILE

Steps, in the paper's order (`steps.py`): scenes, lip_sync, people, faces, quality, text, sound,
transcript, latents. Each writes its rows to OUT/<step>/ and is not done again (`pipeline.py`); Ray
Data spreads its clips over processes that hold its model (`on_ray.py`). What judges a clip is named
in a TOML file (`judges.py`), what it must fulfil lies in `criteria.py`.

Source: X-Streamer (arXiv 2509.21574), sections 4.1 and A.1.
"""
