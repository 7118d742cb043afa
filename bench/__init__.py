"""Compare Haulage with rsync, cp, rclone and fpsync on this machine."""
