"""The papers' comparisons, trained again: one script a paper, one flag for the size."""
