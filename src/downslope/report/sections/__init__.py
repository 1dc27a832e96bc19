"""One file a section of the page: which figures it shows, their captions, and its tables."""
