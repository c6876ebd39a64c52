"""What is promised holds whatever breaks: each test breaks the real thing while people talk, and asks the checker."""
