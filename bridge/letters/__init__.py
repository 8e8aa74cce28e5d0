"""Letters to learners: the templates, and how they are filled in."""
