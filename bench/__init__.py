"""Compare Haulage with rsync, cp, rclone, fpsync, s5cmd and boto3 on this machine."""
