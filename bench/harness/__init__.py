"""What runs the comparison: servers started and pinned, load put on them, answers checked, figures kept."""
