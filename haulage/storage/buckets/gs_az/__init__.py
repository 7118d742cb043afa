"""Google's and Azure's buckets."""
