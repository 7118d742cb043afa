"""Grow, change and compare trees, to judge Haulage without using any of its code."""
