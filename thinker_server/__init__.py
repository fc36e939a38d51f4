"""The Thinker: hears the caller, thinks of a reply, and speaks it as hidden-state chunks."""
