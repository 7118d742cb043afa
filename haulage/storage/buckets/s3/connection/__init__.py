"""How a bucket is reached: its address, credentials, requests, a first try."""
