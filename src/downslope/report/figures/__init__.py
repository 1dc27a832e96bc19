"""Static figures: for each stage, functions that compute what to show, and draw it."""
