"""Input operators: what a student reads its tokens with."""
