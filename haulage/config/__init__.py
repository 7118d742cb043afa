"""User configuration: policies, filters, layouts, and access to stores."""
