"""What an interrupted run, a lost attempt or an old one leaves behind."""
