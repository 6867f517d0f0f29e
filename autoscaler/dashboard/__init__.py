"""The web page that shows what a policy does: a server that only reads, and the page that it serves."""
