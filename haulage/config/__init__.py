"""What a user asks for: policies, filters, layouts, and how stores are reached."""
