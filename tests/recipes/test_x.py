def test_a(finished): print(finished.path)
