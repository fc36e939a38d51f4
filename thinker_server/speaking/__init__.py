"""From written reply to timed speech: clauses, spoken text, pronunciation and voices."""
