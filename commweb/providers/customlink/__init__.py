"""Custom link: the course's own address of a chat elsewhere."""
