"""One file an exercise: what is tested, where the expected values come from, and answers that test the tests."""
