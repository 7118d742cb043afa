"""The connection to a bucket: address, credentials, requests, first check."""
