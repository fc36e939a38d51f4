"""What programs that measure share to say what they found: goals, slopes, figures, pages."""
