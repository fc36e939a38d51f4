"""A caller in headless Chromium that speaks into real calls and measures what comes back."""
