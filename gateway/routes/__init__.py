"""REST, pages and machine endpoints, one file for each subject."""
