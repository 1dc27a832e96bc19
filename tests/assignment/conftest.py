"""Solutions of students are no tests."""

collect_ignore = ["solutions"]
