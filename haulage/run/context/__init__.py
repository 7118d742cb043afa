"""What a run works with: both endpoints, the workspace, the task runner."""
