"""What is measured, and against which floor; and the test that kills processes."""
